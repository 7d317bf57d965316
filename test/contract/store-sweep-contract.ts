import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Store, SweepAnswer } from "../../src/store/store.ts";
import {
  appendText,
  claimJob,
  EMPTY_LOG,
  eventually,
  newJob,
  recordOf,
  runningJob,
  SUCCEEDED,
  type StoreHarness,
  wholeLog,
} from "./store-harness.ts";

const NOTHING: SweepAnswer = { requeued: [], lost: [], cancelled: [] };

export function sweepContract(harness: StoreHarness): void {
  let store: Store;
  beforeEach(async () => {
    store = await harness.open();
  });
  afterEach(async () => {
    await harness.cleanup();
  });

  describe("releaseOwner", () => {
    test("tells what became of the owner's jobs and leaves the others'", async () => {
      const kept = await runningJob(store, "alive");
      const requeued = await runningJob(store, "dead");
      const cancelled = await runningJob(store, "dead");
      await store.requestCancel(cancelled.id);
      expect(await store.releaseOwner("dead")).toEqual({
        requeued: [requeued.id],
        lost: [],
        cancelled: [cancelled.id],
      });
      expect(await store.releaseOwner("dead")).toEqual(NOTHING);
      expect(await store.releaseOwner("nobody")).toEqual(NOTHING);
      await appendText(store, kept, { seq: 1, text: "still here" });
      await claimJob(store, requeued.id, "other");
      expect(await store.releaseOwner("other")).toEqual({
        ...NOTHING,
        lost: [requeued.id],
      });
    });
  });

  describe("sweep", () => {
    test("leaves a lease that is kept, queued jobs and ended ones alone", async () => {
      const ended = await runningJob(store);
      await store.finish({ ...ended, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG });
      const lease = await runningJob(store, "alive");
      const queued = await store.submit(newJob());
      const untilMs = performance.now() + 2.5 * harness.timing.leaseMs;
      await eventually(
        async () => {
          expect(await store.beat({ owner: "alive", held: [lease] })).toEqual({
            cancelled: [],
            fenced: [],
            unfinished: [],
          });
          expect(await store.sweep()).toEqual(NOTHING);
        },
        () => performance.now() > untilMs,
      );
      await appendText(store, lease, { seq: 1, text: "mine" });
      expect((await recordOf(store, queued.id)).status).toBe("queued");
    });

    if (harness.leasesExpire) {
      test("tells what became of jobs whose lease ran out, once", async () => {
        const lease = await runningJob(store, "dead");
        const cancelled = await runningJob(store, "dead");
        await store.requestCancel(cancelled.id);
        const seen = { requeued: [] as string[], cancelled: [] as string[] };
        await eventually(
          async () => {
            const answer = await store.sweep();
            seen.requeued.push(...answer.requeued);
            seen.cancelled.push(...answer.cancelled);
            return await store.leaseOwners();
          },
          (owners) => owners.length === 0,
        );
        expect(seen).toEqual({
          requeued: [lease.id],
          cancelled: [cancelled.id],
        });
        expect(await store.sweep()).toEqual(NOTHING);
      });

      test("a lease that ran out is renewed by a beat as long as nobody swept it", async () => {
        const lease = await runningJob(store, "slow");
        // Nothing but the clock brings a lease to its end, and to ask the store about it is to renew or to sweep it.
        await delay(harness.timing.leaseMs + 50);
        const answer = await store.beat({ owner: "slow", held: [lease] });
        expect(answer.fenced).toEqual([]);
        expect(await store.sweep()).toEqual(NOTHING);
        await appendText(store, lease, { seq: 1, text: "still mine" });
      });
    }
  });

  describe("a restart", () => {
    test("keeps records, logs and the order of the queue", async () => {
      const ended = await runningJob(store);
      await appendText(store, ended, { seq: 1, text: "out" });
      await store.finish({ ...ended, outcome: SUCCEEDED, lastSeq: 1, log: EMPTY_LOG });
      const ids: string[] = [];
      for (const priority of ["low", "normal", "high", "normal"] as const)
        ids.push((await store.submit(newJob({ priority }))).id);
      const records = await Promise.all(
        [ended.id, ...ids].map(async (id) => await recordOf(store, id)),
      );
      const log = await wholeLog(store, ended.id);
      store = await harness.reopen(store);
      for (const record of records) expect(await recordOf(store, record.id)).toEqual(record);
      expect(await wholeLog(store, ended.id)).toEqual(log);
      for (const position of [2, 1, 3, 0]) await claimJob(store, ids[position] ?? "");
    });
  });
}
