import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { endNote } from "../../src/jobs/job.ts";
import type { LogEntry } from "../../src/jobs/log-entry.ts";
import { cancelledWithoutWorker, type Outcome } from "../../src/jobs/outcome.ts";
import { isTerminal } from "../../src/jobs/states.ts";
import type { Store } from "../../src/store/store.ts";
import {
  appendText,
  claimAny,
  claimJob,
  EMPTY_LOG,
  FAILED,
  newJob,
  recordOf,
  runningJob,
  SUCCEEDED,
  type StoreHarness,
  wholeLog,
} from "./store-harness.ts";

/** Every field away from its simplest value. */
const RICH_OUTCOME: Outcome = {
  status: "timed_out",
  reason: "wall_limit",
  exitCode: null,
  signal: "SIGKILL",
  oom: null,
  usage: { wallMs: 60_000.25, cpuMs: 1.5, peakMemoryBytes: 2 ** 40 + 1 },
  artifacts: [
    {
      path: "out/naïve 😀.bin",
      blob: "1764000000000/0",
      sizeBytes: Number.MAX_SAFE_INTEGER,
      sha256: "cd".repeat(32),
    },
    { path: "__proto__", blob: "1", sizeBytes: 0, sha256: "" },
  ],
  warnings: ["2 files left out – too big", ""],
  error: "A sentence with “quotes”.",
};

export function endContract(harness: StoreHarness): void {
  let store: Store;
  beforeEach(async () => {
    store = await harness.open();
  });
  afterEach(async () => {
    await harness.cleanup();
  });

  /** Fails the test unless the log's one end entry is its last and says what the record says. */
  const expectOneEnd = async (id: string): Promise<LogEntry | undefined> => {
    const record = await recordOf(store, id);
    const log = await wholeLog(store, id);
    const end = log.at(-1);
    expect(log.filter(({ kind }) => kind === "end")).toHaveLength(1);
    expect(isTerminal(record.status)).toBe(true);
    expect(record.outcome?.status === record.status).toBe(true);
    expect(record.finishedAtMs).toBeGreaterThanOrEqual(record.createdAtMs);
    expect(end).toMatchObject({
      kind: "end",
      end: endNote(record.outcome ?? SUCCEEDED),
    });
    return end;
  };

  describe("finish", () => {
    test("marks a gap that no entry tells of, once, before the end", async () => {
      const lease = await runningJob(store);
      await appendText(store, lease, { seq: 1, text: "kept" });
      const log = { bytes: 4, droppedBytes: 70 };
      const end = { ...lease, outcome: SUCCEEDED, lastSeq: 1, log, markGap: true };
      for (const _ of [1, 2]) expect(await store.finish(end)).toEqual({ kind: "finished" });
      const { epoch } = lease;
      expect((await wholeLog(store, lease.id)).slice(2)).toEqual([
        { epoch, seq: 2, kind: "gap", droppedBytes: 70 },
        { epoch, seq: 3, kind: "end", end: endNote(SUCCEEDED) },
      ]);
      expect((await recordOf(store, lease.id)).log).toEqual(log);
    });

    test("writes the outcome, the totals and the end entry", async () => {
      const lease = await runningJob(store);
      await appendText(store, lease, { seq: 1, text: "out" });
      const log = { bytes: 3, droppedBytes: 9 };
      expect(await store.finish({ ...lease, outcome: RICH_OUTCOME, lastSeq: 1, log })).toEqual({
        kind: "finished",
      });
      expect(await recordOf(store, lease.id)).toMatchObject({
        status: "timed_out",
        outcome: RICH_OUTCOME,
        log,
        owner: lease.owner,
        epoch: lease.epoch,
      });
      expect(await expectOneEnd(lease.id)).toEqual({
        epoch: lease.epoch,
        seq: 2,
        kind: "end",
        end: endNote(RICH_OUTCOME),
      });
      expect(await store.leaseOwners()).toEqual([]);
      expect(await claimAny(store)).toBeNull();
    });

    test("keeps empty lists and nulls of an outcome", async () => {
      const lease = await runningJob(store);
      const outcome = { ...SUCCEEDED, usage: null, oom: null };
      await store.finish({ ...lease, outcome, lastSeq: 0, log: EMPTY_LOG });
      expect((await recordOf(store, lease.id)).outcome).toEqual(outcome);
      expect((await expectOneEnd(lease.id))?.seq).toBe(1);
    });

    test("is idempotent, and a second one with another outcome changes nothing", async () => {
      const lease = await runningJob(store);
      await store.finish({ ...lease, outcome: FAILED, lastSeq: 0, log: EMPTY_LOG });
      const record = await recordOf(store, lease.id);
      for (const outcome of [FAILED, SUCCEEDED])
        expect(
          await store.finish({
            ...lease,
            outcome,
            lastSeq: 99,
            log: { bytes: 99, droppedBytes: 99 },
          }),
        ).toEqual({ kind: "finished" });
      expect(await recordOf(store, lease.id)).toEqual(record);
      await expectOneEnd(lease.id);
    });

    test("is fenced for who does not hold the job", async () => {
      const lease = await runningJob(store);
      const finish = { ...lease, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG };
      const { epoch } = lease;
      expect(await store.finish({ ...finish, epoch: epoch - 1 })).toEqual({ kind: "fenced" });
      expect(await store.finish({ ...finish, epoch: epoch + 1 })).toEqual({ kind: "fenced" });
      expect(await store.finish({ ...finish, owner: "other" })).toEqual({ kind: "fenced" });
      expect(await store.finish({ ...finish, id: "no-such-job" })).toEqual({ kind: "fenced" });
      expect((await recordOf(store, lease.id)).status).toBe("running");
    });

    test("is fenced for an older epoch, before and after the newer one's end", async () => {
      const old = await runningJob(store, "w");
      const late = { ...old, outcome: FAILED, lastSeq: 0, log: EMPTY_LOG };
      await store.release(old);
      expect(await store.finish(late)).toEqual({ kind: "fenced" });
      expect((await recordOf(store, old.id)).status).toBe("queued");
      const now = await claimJob(store, old.id, "w");
      expect(await store.finish(late)).toEqual({ kind: "fenced" });
      await store.finish({ ...now, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG });
      expect(await store.finish(late)).toEqual({ kind: "fenced" });
      expect((await recordOf(store, old.id)).outcome).toEqual(SUCCEEDED);
      await expectOneEnd(old.id);
    });

    test("is fenced when somebody else ended the job", async () => {
      const lease = await runningJob(store, "dead");
      await store.requestCancel(lease.id);
      await store.releaseOwner("dead");
      expect(
        await store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG }),
      ).toEqual({ kind: "fenced" });
      expect((await recordOf(store, lease.id)).status).toBe("cancelled");
      await expectOneEnd(lease.id);
    });
  });

  describe("requestCancel", () => {
    test("ends a queued job at once, and it never runs", async () => {
      const { id } = await store.submit(newJob());
      const next = await store.submit(newJob());
      expect(await store.requestCancel(id)).toBe("cancelled");
      const end = await expectOneEnd(id);
      expect(end?.seq).toBe(1);
      expect(end?.epoch).toBeGreaterThan(0);
      expect(await recordOf(store, id)).toMatchObject({
        status: "cancelled",
        outcome: cancelledWithoutWorker(),
        startedAtMs: null,
        epochs: [],
        owner: null,
        cancelRequested: true,
      });
      expect(await store.queuePosition(id)).toBeNull();
      expect(await store.queuePosition(next.id)).toBe(0);
      await claimJob(store, next.id);
      expect(await claimAny(store)).toBeNull();
    });

    test("ends a queued job that ran before in its last epoch", async () => {
      const lease = await runningJob(store);
      await appendText(store, lease, { seq: 1, text: "out" });
      await store.release(lease);
      expect(await store.requestCancel(lease.id)).toBe("cancelled");
      expect(await expectOneEnd(lease.id)).toMatchObject({
        epoch: lease.epoch,
        seq: 2,
      });
      expect(await claimAny(store)).toBeNull();
    });

    test("flags a running job, and changes nothing else", async () => {
      const lease = await runningJob(store);
      const before = await recordOf(store, lease.id);
      expect(await store.requestCancel(lease.id)).toBe("signalled");
      expect(await store.requestCancel(lease.id)).toBe("signalled");
      expect(await recordOf(store, lease.id)).toEqual({
        ...before,
        cancelRequested: true,
      });
      await appendText(store, lease, { seq: 1, text: "last words" });
      const outcome = cancelledWithoutWorker();
      expect(await store.finish({ ...lease, outcome, lastSeq: 1, log: EMPTY_LOG })).toEqual({
        kind: "finished",
      });
      expect((await expectOneEnd(lease.id))?.seq).toBe(2);
    });

    test("changes nothing about an ended job", async () => {
      const lease = await runningJob(store);
      await store.finish({ ...lease, outcome: FAILED, lastSeq: 0, log: EMPTY_LOG });
      const record = await recordOf(store, lease.id);
      expect(await store.requestCancel(lease.id)).toBe("ended");
      expect(await recordOf(store, lease.id)).toEqual(record);
      const queued = await store.submit(newJob());
      expect(await store.requestCancel(queued.id)).toBe("cancelled");
      expect(await store.requestCancel(queued.id)).toBe("ended");
      await expectOneEnd(queued.id);
    });
  });

  describe("racing ends", () => {
    test("leave one terminal state and one end entry", async () => {
      const other = (await harness.second?.(store)) ?? store;
      for (let round = 0; round < 15; round += 1) {
        const lease = await runningJob(store, `w${round.toString()}`);
        await Promise.all([
          store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG }),
          other.requestCancel(lease.id),
          other.releaseOwner(lease.owner),
          other.finish({ ...lease, outcome: FAILED, lastSeq: 0, log: EMPTY_LOG }),
          store.requestCancel(lease.id),
        ]);
        await expectOneEnd(lease.id);
        const record = await recordOf(store, lease.id);
        await store.finish({ ...lease, outcome: FAILED, lastSeq: 0, log: EMPTY_LOG });
        expect(await recordOf(store, lease.id)).toEqual(record);
      }
    });

    test("leave one terminal state when a claim races a cancel", async () => {
      const other = (await harness.second?.(store)) ?? store;
      for (let round = 0; round < 15; round += 1) {
        const { id } = await store.submit(newJob());
        const [job, answer] = await Promise.all([claimAny(store), other.requestCancel(id)]);
        expect(answer).toBe(job === null ? "cancelled" : "signalled");
        if (job !== null)
          await store.finish({
            id,
            epoch: job.epoch,
            owner: "worker-1",
            outcome: cancelledWithoutWorker(),
            lastSeq: 0,
            log: EMPTY_LOG,
          });
        await expectOneEnd(id);
      }
    });
  });
}
