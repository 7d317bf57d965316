import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Store, StoreStats } from "../../src/store/store.ts";
import {
  claimAny,
  claimJob,
  EMPTY_LOG,
  newJob,
  runningJob,
  SUCCEEDED,
  type StoreHarness,
} from "./store-harness.ts";

const EMPTY: StoreStats = {
  queued: { high: 0, normal: 0, low: 0 },
  oldestQueuedAgeMs: null,
  running: 0,
  workers: { count: 0, slots: 0 },
};

export function statsContract(harness: StoreHarness): void {
  let store: Store;
  beforeEach(async () => {
    store = await harness.open();
  });
  afterEach(async () => {
    await harness.cleanup();
  });

  describe("stats", () => {
    const counts = async () => {
      const { queued, running } = await store.stats();
      return { ...queued, running };
    };

    test("are zero for an empty store", async () => {
      expect(await store.stats()).toEqual(EMPTY);
    });

    test("follow a job from the queue of its priority through its run to its end", async () => {
      await store.submit(newJob({ priority: "low" }));
      await store.submit(newJob({ priority: "low" }));
      await store.submit(newJob({ priority: "normal" }));
      const high = await store.submit(newJob({ priority: "high" }));
      expect(await counts()).toEqual({ high: 1, normal: 1, low: 2, running: 0 });
      const lease = await claimJob(store, high.id);
      expect(await counts()).toEqual({ high: 0, normal: 1, low: 2, running: 1 });
      await store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG });
      expect(await counts()).toEqual({ high: 0, normal: 1, low: 2, running: 0 });
    });

    test("lose a queued job that is cancelled, and get back one that is handed back", async () => {
      const lease = await runningJob(store);
      const other = await store.submit(newJob());
      await store.requestCancel(other.id);
      expect(await counts()).toEqual({ high: 0, normal: 0, low: 0, running: 1 });
      await store.release(lease);
      expect(await counts()).toEqual({ high: 0, normal: 1, low: 0, running: 0 });
    });

    test("tell how long the longest waiting job has waited, whatever its priority", async () => {
      const startedAtMs = performance.now();
      const first = await store.submit(newJob({ priority: "low" }));
      // Nothing but the clock makes a job wait longer than another.
      await delay(120);
      await store.submit(newJob({ priority: "high" }));
      const { oldestQueuedAgeMs } = await store.stats();
      const elapsedMs = performance.now() - startedAtMs;
      // The store's milliseconds are whole ones: each of two readings may be cut by one.
      expect(oldestQueuedAgeMs).toBeGreaterThanOrEqual(118);
      expect(oldestQueuedAgeMs).toBeLessThanOrEqual(Math.ceil(elapsedMs) + 1);
      await store.requestCancel(first.id);
      const { oldestQueuedAgeMs: leftMs } = await store.stats();
      expect(leftMs).toBeLessThan(oldestQueuedAgeMs ?? 0);
      await claimAny(store);
      expect((await store.stats()).oldestQueuedAgeMs).toBeNull();
    });

    test("count from the submission, also for a job that was handed back", async () => {
      const startedAtMs = performance.now();
      const lease = await runningJob(store);
      await delay(60);
      await store.release(lease);
      const { oldestQueuedAgeMs } = await store.stats();
      expect(oldestQueuedAgeMs).toBeGreaterThanOrEqual(58);
      expect(oldestQueuedAgeMs).toBeLessThanOrEqual(Math.ceil(performance.now() - startedAtMs) + 1);
    });

    test("count the workers that announced themselves, each once, and their slots", async () => {
      for (const [owner, slots] of [
        ["host:1:abc", 1],
        ["host:2:def", 3],
        ["host:1:abc", 4],
      ] as const)
        await store.announceWorker({ owner, slots, runtimes: [] });
      expect(await store.stats()).toEqual({ ...EMPTY, workers: { count: 2, slots: 7 } });
    });
  });
}
