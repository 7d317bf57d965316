import { afterEach, beforeEach, describe, expect, test } from "bun:test";

import { preferredWaitSec, untilEnded } from "../../src/api/wait.ts";
import type { LeaseKey, Store } from "../../src/store/store.ts";
import {
  appendText,
  EMPTY_LOG,
  newJob,
  recordOf,
  runningJob,
  SUCCEEDED,
} from "../contract/store-harness.ts";
import { overridden } from "../support/overridden.ts";
import { openWorkshop, type Workshop } from "../support/workshop.ts";

const NEVER = new AbortController().signal;
/** Longer than a test may take. */
const LONG_MS = 60_000;

let workshop: Workshop;
let store: Store;
beforeEach(async () => {
  workshop = await openWorkshop();
  ({ store } = workshop);
});
afterEach(() => workshop.close());

const finish = (lease: LeaseKey, lastSeq: number) =>
  store.finish({ ...lease, outcome: SUCCEEDED, lastSeq, log: EMPTY_LOG });

describe("waiting for a job's end", () => {
  test("is over with the end, also of a job that prints all along", async () => {
    const lease = await runningJob(store);
    const waiting = untilEnded(store, await recordOf(store, lease.id), {
      timeoutMs: LONG_MS,
      signal: NEVER,
    });
    for (let seq = 1; seq <= 40; seq += 1) await appendText(store, lease, { seq, text: "x" });
    await finish(lease, 40);
    expect((await waiting).status).toBe("succeeded");
  });

  test("needs no look at a log that does not grow", async () => {
    const lease = await runningJob(store);
    let looks = 0;
    const counting = overridden<Store>(store, {
      get(id) {
        looks += 1;
        return store.get(id);
      },
    });
    const waiting = untilEnded(counting, await recordOf(store, lease.id), {
      timeoutMs: LONG_MS,
      signal: NEVER,
    });
    await appendText(store, lease, { seq: 1, text: "x" });
    await finish(lease, 1);
    expect((await waiting).status).toBe("succeeded");
    expect(looks).toBeLessThanOrEqual(3);
  });

  test("of one that is queued is over when it is cancelled", async () => {
    const job = await store.submit(newJob());
    const waiting = untilEnded(store, job, { timeoutMs: LONG_MS, signal: NEVER });
    await store.requestCancel(job.id);
    expect((await waiting).status).toBe("cancelled");
  });

  test("of one that has ended is over at once", async () => {
    const lease = await runningJob(store);
    await finish(lease, 0);
    const job = await recordOf(store, lease.id);
    expect(await untilEnded(store, job, { timeoutMs: LONG_MS, signal: NEVER })).toBe(job);
  });

  test("gives the job as it is when the time is over, or the signal fires", async () => {
    const lease = await runningJob(store);
    const job = await recordOf(store, lease.id);
    expect((await untilEnded(store, job, { timeoutMs: 20, signal: NEVER })).status).toBe("running");
    const gone = new AbortController();
    const waiting = untilEnded(store, job, { timeoutMs: LONG_MS, signal: gone.signal });
    gone.abort();
    expect((await waiting).status).toBe("running");
  });

  test("of one that is removed meanwhile is a 404", async () => {
    const lease = await runningJob(store);
    const job = await recordOf(store, lease.id);
    await finish(lease, 0);
    await store.remove(lease.id);
    const waited = untilEnded(store, job, { timeoutMs: 1_000, signal: NEVER });
    expect(await waited.catch((error: unknown) => error)).toMatchObject({ code: "not_found" });
  });
});

describe("Prefer", () => {
  for (const [header, waitSec] of [
    ["wait=30", 30],
    ["respond-async, wait=7", 7],
    ['handling=lenient; x=1, WAIT = "12"', 12],
    ["wait=0", 0],
    ["wait=100000", 300],
    ["wait", null],
    ["wait=-1", null],
    ["wait=1.5", null],
    ["await=3", null],
    ["", null],
  ] as const)
    test(JSON.stringify(header), () => {
      const request = new Request("http://localhost/", { headers: { prefer: header } });
      expect(preferredWaitSec(request)).toBe(waitSec);
    });
});
