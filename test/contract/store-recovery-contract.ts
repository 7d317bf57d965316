import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { endNote } from "../../src/jobs/job.ts";
import { cancelledWithoutWorker, lostAfterCrashes } from "../../src/jobs/outcome.ts";
import { afterCrash, MAX_CRASHES } from "../../src/jobs/retry.ts";
import type { Store } from "../../src/store/store.ts";
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

/** Every way in which a job's worker can be found dead. Resolves to the store to go on with. */
type Crash = (store: Store, owner: string) => Promise<Store>;

function waysToCrash(harness: StoreHarness): readonly (readonly [string, Crash])[] {
  const byOwner: Crash = async (store, owner) => {
    await store.releaseOwner(owner);
    return store;
  };
  const bySweep: Crash = async (store, owner) => {
    await eventually(
      async () => {
        await store.sweep();
        return await store.leaseOwners();
      },
      (owners) => !owners.includes(owner),
    );
    return store;
  };
  const byRestart: Crash = async (store) => await harness.reopen(store);
  return [
    ["releaseOwner", byOwner],
    harness.leasesExpire ? ["a lease that ran out", bySweep] : ["a restart", byRestart],
  ];
}

export function recoveryContract(harness: StoreHarness): void {
  let store: Store;
  beforeEach(async () => {
    store = await harness.open();
  });
  afterEach(async () => {
    await harness.cleanup();
  });

  describe("release", () => {
    test("puts the job at the head of its queue and counts no crash", async () => {
      const first = await store.submit(newJob());
      const second = await store.submit(newJob());
      const high = await store.submit(newJob({ priority: "high" }));
      await claimJob(store, high.id);
      const lease = await claimJob(store, first.id, "w");
      await appendText(store, lease, { seq: 1, text: "partial" });
      await store.release(lease);
      expect(await recordOf(store, first.id)).toMatchObject({
        status: "queued",
        crashes: 0,
        retryReason: "worker_drained",
        epochs: [lease.epoch],
        finishedAtMs: null,
        outcome: null,
      });
      expect(await store.queuePosition(first.id)).toBe(0);
      expect(await store.queuePosition(second.id)).toBe(1);
      const again = await claimJob(store, first.id, "w2");
      expect((await wholeLog(store, first.id)).at(-1)).toEqual({
        epoch: again.epoch,
        seq: 0,
        kind: "attempt",
        attempt: 2,
        reason: "worker_drained",
      });
      // The totals are the latest attempt's.
      expect((await recordOf(store, first.id)).log).toEqual(EMPTY_LOG);
      await claimJob(store, second.id);
    });

    test("puts the older before the younger, whichever came back first", async () => {
      const ids: string[] = [];
      for (let index = 0; index < 4; index += 1) ids.push((await store.submit(newJob())).id);
      const leases = [];
      for (const id of ids.slice(0, 3)) leases.push(await claimJob(store, id));
      for (const index of [1, 0, 2]) await store.release(leases[index] ?? expect.unreachable());
      for (const [position, id] of ids.entries())
        expect(await store.queuePosition(id)).toBe(position);
      for (const id of ids) await claimJob(store, id);
    });

    test("twice, or by who does not hold the job, changes nothing", async () => {
      const lease = await runningJob(store, "w");
      const running = await recordOf(store, lease.id);
      await store.release({ ...lease, epoch: lease.epoch - 1 });
      await store.release({ ...lease, owner: "other" });
      await store.release({ ...lease, id: "no-such-job" });
      expect(await recordOf(store, lease.id)).toEqual(running);
      await store.release(lease);
      await store.release(lease);
      const next = await claimJob(store, lease.id);
      await store.release(lease);
      expect((await recordOf(store, lease.id)).status).toBe("running");
      await store.finish({ ...next, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG });
      await store.release(next);
      expect((await recordOf(store, lease.id)).status).toBe("succeeded");
    });

    test("of a job that was asked to cancel ends it as cancelled", async () => {
      const lease = await runningJob(store);
      await store.requestCancel(lease.id);
      await store.release(lease);
      expect(await recordOf(store, lease.id)).toMatchObject({
        status: "cancelled",
        crashes: 0,
        outcome: cancelledWithoutWorker(),
      });
      expect((await wholeLog(store, lease.id)).at(-1)).toMatchObject({
        kind: "end",
        epoch: lease.epoch,
        seq: 1,
      });
    });
  });

  for (const [way, crash] of waysToCrash(harness))
    describe(`after a crash found by ${way}`, () => {
      for (let crashesBefore = 0; crashesBefore < MAX_CRASHES; crashesBefore++)
        for (const cancelRequested of [false, true])
          test(`${crashesBefore.toString()} crashes before, cancel ${cancelRequested ? "" : "not "}requested: as jobs/retry.ts decides`, async () => {
            const { id } = await store.submit(newJob());
            for (let round = 0; round < crashesBefore; round += 1) {
              await claimJob(store, id, `dead-${round.toString()}`);
              store = await crash(store, `dead-${round.toString()}`);
            }
            const lease = await claimJob(store, id, "dead");
            await appendText(store, lease, { seq: 1, text: "kept" });
            if (cancelRequested) await store.requestCancel(id);
            store = await crash(store, "dead");
            const crashes = crashesBefore + 1;
            const fate = afterCrash({ crashes, cancelRequested });
            const record = await recordOf(store, id);
            expect(record.crashes).toBe(crashes);
            expect(record.epochs).toHaveLength(crashes);
            expect(record.log).toEqual({ bytes: 4, droppedBytes: 0 });
            expect(await store.leaseOwners()).toEqual([]);
            if (fate === "requeue") await expectRequeued(store, id);
            else await expectEnded(store, id, fate);
          });

      test("the dead worker's late words change nothing", async () => {
        const lease = await runningJob(store, "dead");
        store = await crash(store, "dead");
        const record = await recordOf(store, lease.id);
        await store.release(lease);
        const beat = await store.beat({ owner: "dead", held: [lease] });
        expect(beat.fenced).toEqual([{ id: lease.id, epoch: lease.epoch }]);
        expect(
          await store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG }),
        ).toEqual({ kind: "fenced" });
        expect(await recordOf(store, lease.id)).toEqual(record);
      });

      test("crashed jobs come before their equals, the older first", async () => {
        const ids: string[] = [];
        for (let index = 0; index < 12; index += 1) ids.push((await store.submit(newJob())).id);
        for (const id of ids.slice(0, 10)) await claimJob(store, id, "dead");
        store = await crash(store, "dead");
        for (const id of ids) await claimJob(store, id, "next");
      });
    });
}

async function expectRequeued(store: Store, id: string): Promise<void> {
  expect(await recordOf(store, id)).toMatchObject({
    status: "queued",
    retryReason: "worker_lost",
    finishedAtMs: null,
    outcome: null,
  });
  expect(await store.queuePosition(id)).toBe(0);
  const before = await wholeLog(store, id);
  expect(before.at(-1)).toMatchObject({ kind: "frames", seq: 1 });
  const next = await claimJob(store, id, "next");
  expect(await wholeLog(store, id)).toEqual([
    ...before,
    {
      epoch: next.epoch,
      seq: 0,
      kind: "attempt",
      attempt: (await recordOf(store, id)).epochs.length,
      reason: "worker_lost",
    },
  ]);
}

async function expectEnded(store: Store, id: string, status: "lost" | "cancelled"): Promise<void> {
  const record = await recordOf(store, id);
  const outcome = status === "lost" ? lostAfterCrashes() : cancelledWithoutWorker();
  expect(record).toMatchObject({ status, outcome });
  expect(record.finishedAtMs).toBeGreaterThanOrEqual(record.createdAtMs);
  const log = await wholeLog(store, id);
  expect(log.filter(({ kind }) => kind === "end")).toHaveLength(1);
  expect(log.slice(-2)).toMatchObject([
    { kind: "frames", epoch: record.epoch, seq: 1 },
    {
      kind: "end",
      epoch: record.epoch,
      seq: 2,
      end: endNote(outcome),
    },
  ]);
  expect(await store.queuePosition(id)).toBeNull();
}
