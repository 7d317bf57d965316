import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { JobRecord } from "../../src/jobs/job.ts";
import { PRIORITY_HEAD_START_MS } from "../../src/store/timing.ts";
import type { HeldClaim, Store } from "../../src/store/store.ts";
import {
  appendText,
  claimAny,
  claimJob,
  EMPTY_LOG,
  newJob,
  recordOf,
  runningJob,
  SUCCEEDED,
  type StoreHarness,
} from "./store-harness.ts";

export function claimContract(harness: StoreHarness): void {
  let store: Store;
  beforeEach(async () => {
    store = await harness.open();
  });
  afterEach(async () => {
    await harness.cleanup();
  });

  describe("claim", () => {
    test("answers null when nothing waits", async () => {
      expect(await claimAny(store)).toBeNull();
    });

    test("takes jobs first in first out", async () => {
      const ids: string[] = [];
      for (let index = 0; index < 12; index += 1) ids.push((await store.submit(newJob())).id);
      for (const id of ids) await claimJob(store, id);
      expect(await claimAny(store)).toBeNull();
    });

    test("takes high before normal before low", async () => {
      const low = await store.submit(newJob({ priority: "low" }));
      const normal = await store.submit(newJob({ priority: "normal" }));
      const high = await store.submit(newJob({ priority: "high" }));
      const high2 = await store.submit(newJob({ priority: "high" }));
      for (const { id } of [high, high2, normal, low]) await claimJob(store, id);
    });

    test("takes no priority for more than a head start: what has waited for longer comes first", async () => {
      const low = await store.submit(newJob({ priority: "low" }));
      const normal = await store.submit(newJob());
      const older = await store.submit(newJob({ priority: "low" }));
      await harness.age(store, low.id, 3 * PRIORITY_HEAD_START_MS);
      await harness.age(store, normal.id, PRIORITY_HEAD_START_MS / 2);
      await harness.age(store, older.id, PRIORITY_HEAD_START_MS / 2);
      const high = await store.submit(newJob({ priority: "high" }));
      const young = await store.submit(newJob());
      const order = [low, high, normal, young, older];
      const positions = await Promise.all(order.map(({ id }) => store.queuePosition(id)));
      expect(positions).toEqual([0, 1, 2, 3, 4]);
      for (const { id } of order) await claimJob(store, id);
    });

    test("may tell of the job ahead, once, which is the one that it comes to", async () => {
      const told: JobRecord[] = [];
      const tell = (job: JobRecord) => void told.push(job);
      const request = { owner: "w", slot: 0, token: "t" };
      expect(await store.claim(request, tell)).toBeNull();
      expect(told).toEqual([]);
      await store.submit(newJob());
      const claimed = await store.claim(request, tell);
      if (claimed === null) throw new Error("Nothing was claimed");
      // What is stored by one step on another machine is told with that.
      expect(told).toEqual(store.kind === "sqlite" ? [claimed] : []);
      const again = await store.claim(request, tell);
      expect([again, told.length]).toEqual([claimed, store.kind === "sqlite" ? 2 : 0]);
      expect(claimed).toEqual(await recordOf(store, claimed.id));
    });

    test("makes the job running, with an epoch, an owner and an attempt entry", async () => {
      const { id, createdAtMs } = await store.submit(newJob());
      const claimed = await store.claim({
        owner: "host:1:2",
        slot: 3,
        token: "t",
      });
      expect(claimed).toMatchObject({
        id,
        status: "running",
        owner: "host:1:2",
        finishedAtMs: null,
        crashes: 0,
        retryReason: null,
        outcome: null,
        log: EMPTY_LOG,
      });
      const epoch = claimed?.epoch ?? 0;
      expect(epoch).toBeGreaterThan(0);
      expect(Number.isSafeInteger(epoch)).toBe(true);
      expect(claimed?.epochs).toEqual([epoch]);
      expect(claimed?.startedAtMs).toBeGreaterThanOrEqual(createdAtMs);
      expect(claimed).toEqual(await recordOf(store, id));
      expect(
        await store.readLog({
          id,
          from: { epoch: 0, seq: 0 },
          maxBytes: 1_000,
        }),
      ).toEqual([{ epoch, seq: 0, kind: "attempt", attempt: 1, reason: null }]);
      expect(await store.lastEntryId(id)).toEqual({ epoch, seq: 0 });
    });

    test("never hands out one job twice, however many claim at once", async () => {
      const other = (await harness.second?.(store)) ?? store;
      const submitted = new Set<string>();
      for (let index = 0; index < 40; index += 1) submitted.add((await store.submit(newJob())).id);
      const claims = await Promise.all(
        Array.from({ length: 60 }, async (_, slot) =>
          (slot % 2 === 0 ? store : other).claim({
            owner: `w${(slot % 4).toString()}`,
            slot,
            token: `t${slot.toString()}`,
          }),
        ),
      );
      const taken = claims.flatMap((job) => (job === null ? [] : [job.id]));
      expect(taken).toHaveLength(40);
      expect(new Set(taken)).toEqual(submitted);
    });

    test("gives every claim of a job a greater epoch", async () => {
      const { id } = await store.submit(newJob());
      let last = 0;
      const epochs: number[] = [];
      for (let attempt = 0; attempt < 4; attempt += 1) {
        const lease = await claimJob(store, id);
        expect(lease.epoch).toBeGreaterThan(last);
        last = lease.epoch;
        epochs.push(last);
        await store.release(lease);
      }
      expect((await recordOf(store, id)).epochs).toEqual(epochs);
    });

    test("answers the same token with the same job while it runs", async () => {
      const first = await store.submit(newJob());
      const second = await store.submit(newJob());
      const request = { owner: "w", slot: 1, token: "tok" };
      const claimed = await store.claim(request);
      expect(claimed?.id).toBe(first.id);
      expect(await store.claim(request)).toEqual(claimed);
      expect((await store.claim({ ...request, slot: 2 }))?.id).toBe(second.id);
      expect(await store.claim({ ...request, slot: 3, token: "other" })).toBeNull();
      // Still one attempt, one entry: the repeated call was no second claim.
      expect((await recordOf(store, first.id)).epochs).toHaveLength(1);
      expect(await store.lastEntryId(first.id)).toEqual({
        epoch: claimed?.epoch ?? -1,
        seq: 0,
      });
    });

    test("does not answer a token with a job that has ended or was handed back", async () => {
      const first = await store.submit(newJob());
      const request = { owner: "w", slot: 0, token: "tok" };
      const claimed = await store.claim(request);
      const lease = { id: first.id, epoch: claimed?.epoch ?? -1, owner: "w" };
      await store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG });
      expect(await store.claim(request)).toBeNull();

      const { id } = await store.submit(newJob());
      const before = await store.claim({ ...request, token: "tok2" });
      await store.release({ id, epoch: before?.epoch ?? -1, owner: "w" });
      const after = await store.claim({ ...request, token: "tok2" });
      expect(after?.id).toBe(id);
      expect(after?.epoch).toBeGreaterThan(before?.epoch ?? Infinity);
    });

    test("answers a token again after output was appended", async () => {
      const { id } = await store.submit(newJob());
      const request = { owner: "w", slot: 0, token: "tok" };
      const claimed = await store.claim(request);
      const lease = { id, epoch: claimed?.epoch ?? -1, owner: "w" };
      await appendText(store, lease, { seq: 1, text: "hi" });
      expect(await store.claim(request)).toMatchObject({
        id,
        epoch: lease.epoch,
        log: { bytes: 2, droppedBytes: 0 },
      });
    });
  });

  describe("beat", () => {
    test("says nothing of what is well", async () => {
      const lease = await runningJob(store, "w");
      expect(await store.beat({ owner: "w", held: [lease] })).toEqual({
        cancelled: [],
        fenced: [],
        unfinished: [],
      });
      expect(await store.beat({ owner: "w", held: [] })).toEqual({
        cancelled: [],
        fenced: [],
        unfinished: [],
      });
    });

    test("tells which held claims are to be cancelled", async () => {
      const first = await runningJob(store, "w");
      const second = await runningJob(store, "w");
      await store.requestCancel(second.id);
      const answer = await store.beat({ owner: "w", held: [first, second] });
      expect(answer).toEqual({ cancelled: [claimOf(second)], fenced: [], unfinished: [] });
    });

    test("tells which held claims are no longer the owner's", async () => {
      const ended = await runningJob(store, "w");
      await store.finish({ ...ended, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG });
      const released = await runningJob(store, "w");
      await store.release(released);
      const retaken = await claimJob(store, released.id, "other");
      const kept = await runningJob(store, "w");
      const older = await runningJob(store, "w");
      const unknown = { id: "no-such-job", epoch: 5 };
      const answer = await store.beat({
        owner: "w",
        held: [ended, released, kept, unknown, { ...older, epoch: 1 }],
      });
      expect(answer.cancelled).toEqual([]);
      expectSameClaims(answer.fenced, [ended, released, unknown, { id: older.id, epoch: 1 }]);
      const others = await store.beat({ owner: "other", held: [retaken] });
      expect(others.fenced).toEqual([]);
    });

    test("tells two claims of one job apart, held by the same owner", async () => {
      const old = await runningJob(store, "w");
      // As when the worker was away for too long, and took the job again before it heard of it.
      await store.release(old);
      const now = await claimJob(store, old.id, "w");
      for (const held of [
        [old, now],
        [now, old],
      ])
        expect(await store.beat({ owner: "w", held })).toEqual({
          cancelled: [],
          fenced: [claimOf(old)],
          unfinished: [],
        });
      await store.requestCancel(old.id);
      for (const held of [
        [old, now],
        [now, old],
      ])
        expect(await store.beat({ owner: "w", held })).toEqual({
          cancelled: [claimOf(now)],
          fenced: [claimOf(old)],
          unfinished: [],
        });
    });
  });

  describe("leaseOwners", () => {
    test("lists each owner of a running job once", async () => {
      expect(await store.leaseOwners()).toEqual([]);
      const first = await runningJob(store, "a");
      await runningJob(store, "a");
      await runningJob(store, "b");
      expect([...(await store.leaseOwners())].sort()).toEqual(["a", "b"]);
      await store.finish({ ...first, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG });
      expect([...(await store.leaseOwners())].sort()).toEqual(["a", "b"]);
      await store.releaseOwner("a");
      expect(await store.leaseOwners()).toEqual(["b"]);
    });
  });
}

/** A claim as beat names it. */
function claimOf({ id, epoch }: HeldClaim): HeldClaim {
  return { id, epoch };
}

/** In any order. */
function expectSameClaims(actual: readonly HeldClaim[], expected: readonly HeldClaim[]): void {
  expect(actual).toHaveLength(expected.length);
  for (const claim of expected) expect(actual).toContainEqual(claimOf(claim));
}
