import { expect, test } from "bun:test";

import { createPulse } from "../../src/health/pulse.ts";
import { type ReadinessParts, reasonsNotReady } from "../../src/health/readiness.ts";
import { sandboxStatus } from "../support/sandbox-status.ts";

const late = createPulse();
late.beat(-1);

const READY: ReadinessParts = {
  draining: new AbortController().signal,
  store: { problem: () => null },
  worker: { sandbox: () => sandboxStatus({ ready: true }), claiming: createPulse() },
};

function reasons(parts: Partial<ReadinessParts>): string {
  return reasonsNotReady({ ...READY, ...parts }).join(" ");
}

test("nothing keeps a process from being ready that works, with or without a worker", () => {
  expect(reasons({})).toBe("");
  expect(reasons({ worker: null })).toBe("");
});

test("each reason is told, and all that there are", () => {
  const draining = AbortSignal.abort();
  const broken = { sandbox: () => sandboxStatus({ ready: false }), claiming: createPulse() };
  expect(reasons({ draining })).toContain("shutting down");
  expect(reasons({ worker: broken })).toContain("self-test");
  expect(reasons({ store: { problem: () => "silent" } })).toContain("does not answer");
  expect(reasons({ store: { problem: () => "full" } })).toContain("full");
  expect(
    reasonsNotReady({ draining, worker: broken, store: { problem: () => "full" } }),
  ).toHaveLength(3);
});

test("a claim loop that is stuck is told where the store is not the cause", () => {
  const worker = { sandbox: () => sandboxStatus({ ready: true }), claiming: late };
  expect(reasons({ worker })).toContain("taken from the queue");
  expect(reasons({ worker, store: { problem: () => "silent" } })).toBe(
    "The store does not answer.",
  );
});
