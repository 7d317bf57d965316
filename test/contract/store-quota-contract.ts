import { afterEach, beforeEach, describe, expect, test } from "bun:test";

import type { AppError } from "../../src/errors.ts";
import type { NewJob } from "../../src/jobs/job.ts";
import type { Outcome } from "../../src/jobs/outcome.ts";
import {
  limitReached,
  NO_LIMITS,
  NO_USE,
  reachedLimit,
  type SubmitLimits,
} from "../../src/jobs/quotas.ts";
import type { LeaseKey, Store } from "../../src/store/store.ts";
import {
  claimAny,
  claimJob,
  EMPTY_LOG,
  newJob,
  SUCCEEDED,
  type StoreHarness,
} from "./store-harness.ts";

/** What was used of the key `a` before another job of it is submitted. */
interface Past {
  readonly finished?: number;
  /** Of the finished jobs together. */
  readonly cpuMs?: number;
  readonly running?: number;
  readonly queued?: number;
  /** Queued jobs of others. */
  readonly others?: number;
}

/** Run through the driver and through jobs/quotas.ts alike. */
const CASES: readonly (readonly [what: string, limits: Partial<SubmitLimits>, past: Past])[] = [
  ["no limit", {}, { finished: 2, cpuMs: 9_000, running: 2, queued: 2, others: 2 }],
  ["room in the queue", { maxQueued: 3 }, { queued: 1, others: 1 }],
  ["a queue that others fill", { maxQueued: 3 }, { queued: 1, others: 2 }],
  ["a queue that running jobs have left", { maxQueued: 1 }, { running: 2 }],
  ["one more active job", { maxActive: 3 }, { running: 1, queued: 1, finished: 5, others: 5 }],
  ["as many active jobs as may be", { maxActive: 3 }, { running: 1, queued: 2 }],
  ["one more submit", { submitsPerMinute: 3 }, { finished: 1, queued: 1, others: 5 }],
  ["as many submits as may be", { submitsPerMinute: 3 }, { finished: 1, running: 1, queued: 1 }],
  ["CPU time that is left", { cpuSecPerDay: 2 }, { finished: 2, cpuMs: 1_999 }],
  ["CPU time that is used", { cpuSecPerDay: 2 }, { finished: 2, cpuMs: 2_000 }],
  [
    "all at once: the queue is told of first",
    { maxQueued: 0, maxActive: 0, submitsPerMinute: 0, cpuSecPerDay: 0 },
    {},
  ],
  ["nothing may be active", { maxActive: 0, submitsPerMinute: 0 }, {}],
];

/** Some of it by its compiler, and by its installer. */
function usedCpu(cpuMs: number): Outcome {
  const part = (ms: number) => ({ wallMs: ms, cpuMs: ms, peakMemoryBytes: null });
  const compileUsage = part(Math.floor(cpuMs / 3));
  const installUsage = part(Math.floor(cpuMs / 5));
  const usage = part(cpuMs - compileUsage.cpuMs - installUsage.cpuMs);
  return { ...SUCCEEDED, usage, compileUsage, installUsage };
}

/** The error that a submit is refused with; null where it is not. */
async function refusal(submit: Promise<unknown>): Promise<AppError | null> {
  return await submit.then(
    () => null,
    (error: AppError) => error,
  );
}

/** How much a key may use, and that it is counted exactly. */
export function quotaContract(harness: StoreHarness): void {
  let store: Store;
  beforeEach(async () => {
    store = await harness.open();
  });
  afterEach(async () => {
    await harness.cleanup();
  });

  const ofA = () => newJob({ keyId: "a" });
  const submit = async (limits: Partial<SubmitLimits>, job: NewJob = ofA()) =>
    await store.submit(job, { ...NO_LIMITS, ...limits });
  const run = async (job: NewJob = ofA()): Promise<LeaseKey> => {
    await store.submit(job);
    return await claimJob(store, job.id);
  };
  const finish = async (lease: LeaseKey, outcome: Outcome) =>
    await store.finish({ ...lease, outcome, lastSeq: 0, log: EMPTY_LOG });

  const live = async ({ finished = 0, cpuMs = 0, running = 0, queued = 0, others = 0 }: Past) => {
    for (let index = 0; index < finished; index += 1)
      await finish(await run(), usedCpu(index === 0 ? cpuMs : 0));
    for (let index = 0; index < running; index += 1) await run();
    for (let index = 0; index < queued; index += 1) await store.submit(ofA());
    for (let index = 0; index < others; index += 1)
      await store.submit(newJob({ keyId: index % 2 === 0 ? "b" : null }));
  };

  describe("one table of cases", () => {
    for (const [what, some, past] of CASES)
      test(what, async () => {
        const limits = { ...NO_LIMITS, ...some };
        await live(past);
        const { finished = 0, cpuMs = 0, running = 0, queued = 0, others = 0 } = past;
        const use = await store.keyUse("a");
        const submits = finished + running + queued;
        expect(use).toMatchObject({
          active: running + queued,
          submits: { used: submits },
          cpuMs: { used: cpuMs },
        });
        const reached = reachedLimit(limits, { ...use, queued: queued + others });
        const expected = reached === null ? null : limitReached(limits, reached);
        const error = await refusal(store.submit(ofA(), limits));
        expect([error?.code, error?.fields, error?.message]).toEqual([
          expected?.code,
          expected?.fields,
          expected?.message,
        ]);
        // A second may have begun meanwhile.
        expect(
          Math.abs((error?.retryAfterSec ?? 0) - (expected?.retryAfterSec ?? 0)),
        ).toBeLessThanOrEqual(1);
      });
  });

  test("a refused job is not there, and nothing of it is counted", async () => {
    const job = ofA();
    expect(await refusal(submit({ maxActive: 0 }, job))).toMatchObject({ code: "quota_exceeded" });
    expect(await store.get(job.id)).toBeNull();
    expect((await store.list({ filter: {}, limit: 5, onlyOf: "a" })).items).toEqual([]);
    expect(await store.keyUse("a")).toEqual(NO_USE);
    expect(await claimAny(store)).toBeNull();
  });

  test("of twenty at the same time as many are taken as there is room for", async () => {
    const stores = harness.second === undefined ? [store] : [store, await harness.second(store)];
    for (const [keyId, limits] of [
      ["a", { maxActive: 5 }],
      ["b", { submitsPerMinute: 5 }],
      [null, { maxQueued: 15 }],
    ] as const) {
      const refusals = await Promise.all(
        Array.from({ length: 20 }, async (_, index) => {
          const by = stores[index % stores.length] ?? store;
          return await refusal(by.submit(newJob({ keyId }), { ...NO_LIMITS, ...limits }));
        }),
      );
      expect(refusals.filter((error) => error === null)).toHaveLength(5);
    }
  });

  test("a submit that is repeated is neither refused nor counted again", async () => {
    const job = ofA();
    await submit({ submitsPerMinute: 1, maxActive: 1 }, job);
    expect((await submit({ submitsPerMinute: 1, maxActive: 1 }, job)).id).toBe(job.id);
    const limits = { ...NO_LIMITS, submitsPerMinute: 2 };
    const first = ofA();
    await store.submitOnce({ job: first, key: "k", digest: "d", limits });
    const again = store.submitOnce({ job: ofA(), key: "k", digest: "d", limits });
    expect(await again).toMatchObject({ id: first.id });
    expect(await store.keyUse("a")).toMatchObject({ active: 2, submits: { used: 2 } });
    const other = store.submitOnce({ job: ofA(), key: "other", digest: "d", limits });
    expect(await refusal(other)).toMatchObject({ code: "quota_exceeded" });
    // The refused key is free.
    expect(await store.findSubmitted({ key: "other", digest: "another" })).toBeNull();
  });

  test("a job is active until it ends, however it does", async () => {
    const active = async () => (await store.keyUse("a")).active;
    const finished = await run();
    const cancelled = await run();
    const crashed = await run();
    const queued = ofA();
    await store.submit(queued);
    expect(await active()).toBe(4);
    await finish(finished, SUCCEEDED);
    await finish(finished, SUCCEEDED);
    expect(await active()).toBe(3);
    await store.requestCancel(queued.id);
    await store.requestCancel(queued.id);
    expect(await active()).toBe(2);
    await store.requestCancel(cancelled.id);
    expect(await active()).toBe(2);
    await store.release(cancelled);
    expect(await active()).toBe(1);
    await store.releaseOwner(crashed.owner);
    expect(await active()).toBe(1);
    await claimJob(store, crashed.id);
    await store.releaseOwner(crashed.owner);
    expect(await store.get(crashed.id)).toMatchObject({ status: "lost" });
    expect(await active()).toBe(0);
    for (const id of [finished.id, cancelled.id, crashed.id, queued.id]) await store.remove(id);
    expect(await active()).toBe(0);
  });

  test("CPU time is counted once, when the job finishes; a lost job has used none", async () => {
    const used = async () => (await store.keyUse("a")).cpuMs.used;
    const lease = await run();
    expect(await used()).toBe(0);
    await finish(lease, usedCpu(700));
    await finish(lease, usedCpu(700));
    expect(await used()).toBe(700);
    await finish({ ...lease, epoch: lease.epoch - 1 }, usedCpu(5_000));
    const lost = await run();
    await store.releaseOwner(lost.owner);
    await claimJob(store, lost.id);
    await store.releaseOwner(lost.owner);
    await finish(lost, usedCpu(5_000));
    const cancelled = await run();
    await finish(cancelled, { ...usedCpu(300), status: "cancelled", reason: "cancelled" });
    await finish(await run(newJob({ keyId: "b" })), usedCpu(40));
    await finish(await run(newJob()), usedCpu(5_000));
    expect(await used()).toBe(1_000);
    expect((await store.keyUse("b")).cpuMs.used).toBe(40);
    await store.remove(lease.id);
    expect(await used()).toBe(1_000);
  });

  test("windows end, and begin anew with the next use", async () => {
    await finish(await run(), usedCpu(2_000));
    const limits = { submitsPerMinute: 1, cpuSecPerDay: 1 };
    const { submits, cpuMs } = await store.keyUse("a");
    expect(submits.resetMs).toBeGreaterThan(50_000);
    expect(submits.resetMs).toBeLessThanOrEqual(60_000);
    expect(cpuMs.resetMs).toBeGreaterThan(86_390_000);
    expect(cpuMs.resetMs).toBeLessThanOrEqual(86_400_000);
    expect(await refusal(submit(limits))).not.toBeNull();
    await harness.endWindows(store, "a");
    expect(await store.keyUse("a")).toEqual(NO_USE);
    await submit(limits);
    expect((await store.keyUse("a")).submits.used).toBe(1);
    expect(await refusal(submit(limits))).toMatchObject({ code: "quota_exceeded" });
  });

  test("counts are kept across a restart", async () => {
    await live({ finished: 1, cpuMs: 500, running: 1, queued: 1 });
    store = await harness.reopen(store);
    expect(await store.keyUse("a")).toMatchObject({
      active: 2,
      submits: { used: 3 },
      cpuMs: { used: 500 },
    });
  });
}
