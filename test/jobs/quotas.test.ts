import { describe, expect, test } from "bun:test";

import {
  type KeyUse,
  limitReached,
  NO_LIMITS,
  NO_USE,
  reachedLimit,
  type ReachedLimit,
  type SubmitLimits,
} from "../../src/jobs/quotas.ts";

interface Case {
  readonly what: string;
  readonly limits: Partial<SubmitLimits>;
  readonly use: Partial<KeyUse> & { readonly queued?: number };
  readonly reached: ReachedLimit | null;
}

const CASES: readonly Case[] = [
  {
    what: "without a limit nothing is reached",
    limits: {},
    use: {
      queued: 1e6,
      active: 1e6,
      submits: { used: 1e6, resetMs: 1 },
      cpuMs: { used: 1e9, resetMs: 1 },
    },
    reached: null,
  },
  {
    what: "the last place may be taken",
    limits: { maxQueued: 3, maxActive: 3, submitsPerMinute: 3, cpuSecPerDay: 1 },
    use: {
      queued: 2,
      active: 2,
      submits: { used: 2, resetMs: 1 },
      cpuMs: { used: 999, resetMs: 1 },
    },
    reached: null,
  },
  {
    what: "a full queue is everybody's",
    limits: { maxQueued: 3 },
    use: { queued: 3 },
    reached: { limit: "maxQueued", waitMs: 0 },
  },
  {
    what: "active jobs",
    limits: { maxActive: 2 },
    use: { active: 2 },
    reached: { limit: "maxActive", waitMs: 0 },
  },
  {
    what: "submits, until their window ends",
    limits: { submitsPerMinute: 2 },
    use: { submits: { used: 2, resetMs: 1234 } },
    reached: { limit: "submitsPerMinute", waitMs: 1234 },
  },
  {
    what: "CPU time, which the last job may have gone past",
    limits: { cpuSecPerDay: 1 },
    use: { cpuMs: { used: 1700, resetMs: 99 } },
    reached: { limit: "cpuSecPerDay", waitMs: 99 },
  },
  {
    what: "a quota of 0 is reached before anything is used",
    limits: { submitsPerMinute: 0 },
    use: {},
    reached: { limit: "submitsPerMinute", waitMs: 0 },
  },
];

describe("reachedLimit", () => {
  for (const { what, limits, use, reached } of CASES)
    test(what, () => {
      const all = { ...NO_USE, queued: 0, ...use };
      expect(reachedLimit({ ...NO_LIMITS, ...limits }, all)).toEqual(reached);
    });
});

describe("limitReached", () => {
  const limits: SubmitLimits = {
    maxQueued: 10,
    maxActive: 11,
    submitsPerMinute: 12,
    cpuSecPerDay: 13,
  };

  test("names the quota, and what it is", () => {
    for (const [limit, pointer, most] of [
      ["maxActive", "/max_active", "11"],
      ["submitsPerMinute", "/submits_per_minute", "12"],
      ["cpuSecPerDay", "/cpu_sec_per_day", "13"],
    ] as const)
      expect(limitReached(limits, { limit, waitMs: 0 })).toMatchObject({
        code: "quota_exceeded",
        fields: [{ pointer, detail: expect.stringContaining(most) }],
      });
    expect(limitReached(limits, { limit: "maxQueued", waitMs: 0 })).toMatchObject({
      code: "queue_full",
      message: expect.stringContaining("MAX_QUEUED is 10"),
      fields: [],
    });
  });

  test("says when to come back: not before the window has ended, soon where nobody can tell", () => {
    const retryAfterSec = (waitMs: number) =>
      limitReached(limits, { limit: "submitsPerMinute", waitMs }).retryAfterSec;
    expect([1, 1000, 1001, 60_000].map(retryAfterSec)).toEqual([1, 1, 2, 60]);
    expect(retryAfterSec(0)).toBe(5);
  });
});
