import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Store } from "../../src/store/store.ts";
import {
  appendText,
  claimJob,
  EMPTY_LOG,
  frame,
  expectPrompt,
  NEVER_MS,
  neverAborted,
  newJob,
  runningJob,
  SUCCEEDED,
  type StoreHarness,
  wholeLog,
} from "./store-harness.ts";

export function readLogContract(harness: StoreHarness): void {
  let store: Store;
  beforeEach(async () => {
    store = await harness.open();
  });
  afterEach(async () => {
    await harness.cleanup();
  });

  describe("readLog", () => {
    const thousand = "x".repeat(1_000);

    test("starts at `from`, inclusive, or at the next entry there is", async () => {
      const lease = await runningJob(store);
      const { id, epoch } = lease;
      for (let seq = 1; seq <= 5; seq += 1)
        await appendText(store, lease, { seq, text: seq.toString() });
      const seqsFrom = async (from: { epoch: number; seq: number }) =>
        (await store.readLog({ id, from, maxBytes: 10_000 })).map(({ seq }) => seq);
      expect(await seqsFrom({ epoch, seq: 3 })).toEqual([3, 4, 5]);
      expect(await seqsFrom({ epoch: epoch - 1, seq: 99 })).toEqual([0, 1, 2, 3, 4, 5]);
      expect(await seqsFrom({ epoch, seq: 6 })).toEqual([]);
      expect(await seqsFrom({ epoch: epoch + 1, seq: 0 })).toEqual([]);
      await store.release(lease);
      const next = await claimJob(store, id);
      expect(await store.readLog({ id, from: { epoch, seq: 6 }, maxBytes: 1_000 })).toEqual([
        {
          epoch: next.epoch,
          seq: 0,
          kind: "attempt",
          attempt: 2,
          reason: "worker_drained",
        },
      ]);
    });

    test("stops before `maxBytes` is passed, but gives at least one entry", async () => {
      const lease = await runningJob(store);
      const { id, epoch } = lease;
      for (let seq = 1; seq <= 3; seq += 1) await appendText(store, lease, { seq, text: thousand });
      const count = async (seq: number, maxBytes: number) =>
        (await store.readLog({ id, from: { epoch, seq }, maxBytes })).length;
      // Each weighs its 1,000 bytes, itself and its one frame (entryMemoryBytes).
      expect(await count(1, 3_000)).toBe(2);
      expect(await count(1, 2_512)).toBe(2);
      expect(await count(1, 2_511)).toBe(1);
      expect(await count(1, 1)).toBe(1);
      expect(await count(3, 1)).toBe(1);
      expect(await count(1, 1_000_000)).toBe(3);
    });

    test("a page of many small frames is short, for it is their objects that weigh", async () => {
      const lease = await runningJob(store);
      const frames = Array.from({ length: 500 }, (_, at) =>
        frame("x", at % 2 === 0 ? "stdout" : "stderr"),
      );
      for (const seq of [1, 2, 3])
        await store.append({ ...lease, seq, body: { kind: "frames", frames }, log: EMPTY_LOG });
      const page = await store.readLog({
        id: lease.id,
        from: { epoch: lease.epoch, seq: 1 },
        maxBytes: 64 * 1024,
      });
      expect(page.map(({ seq }) => seq)).toEqual([1]);
    });

    test("pages meet without hole or repeat, at every page size", async () => {
      const lease = await runningJob(store);
      for (let seq = 1; seq <= 30; seq += 1)
        await appendText(store, lease, { seq, text: "y".repeat(seq) });
      const whole = await wholeLog(store, lease.id, 1_000_000);
      expect(whole.map(({ seq }) => seq)).toEqual(Array.from({ length: 31 }, (_, seq) => seq));
      for (const maxBytes of [1, 7, 31, 100])
        expect(await wholeLog(store, lease.id, maxBytes)).toEqual(whole);
    });

    test("lastEntryId follows the log", async () => {
      const { id } = await store.submit(newJob());
      expect(await store.lastEntryId(id)).toBeNull();
      const lease = await claimJob(store, id);
      const { epoch } = lease;
      expect(await store.lastEntryId(id)).toEqual({ epoch, seq: 0 });
      await appendText(store, lease, { seq: 1, text: "a" });
      expect(await store.lastEntryId(id)).toEqual({ epoch, seq: 1 });
      await store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 1, log: EMPTY_LOG });
      expect(await store.lastEntryId(id)).toEqual({ epoch, seq: 2 });
    });
  });

  describe("waitForEntries", () => {
    const waitOn = (id: string, after: { epoch: number; seq: number } | null, on = store) =>
      on.waitForEntries({ id, after, timeoutMs: NEVER_MS }, neverAborted());

    test("wakes on claim, append and finish", async () => {
      const { id } = await store.submit(newJob());
      const untilClaim = waitOn(id, null);
      const lease = await claimJob(store, id);
      await expectPrompt(untilClaim);
      const { epoch } = lease;
      const untilAppend = waitOn(id, { epoch, seq: 0 });
      await appendText(store, lease, { seq: 1, text: "a" });
      await expectPrompt(untilAppend);
      const untilEnd = waitOn(id, { epoch, seq: 1 });
      await store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 1, log: EMPTY_LOG });
      await expectPrompt(untilEnd);
    });

    test("wakes on the end of a job cancelled in the queue", async () => {
      const { id } = await store.submit(newJob());
      const wait = waitOn(id, null);
      await store.requestCancel(id);
      await expectPrompt(wait);
    });

    test("resolves at once when there is an entry already", async () => {
      const lease = await runningJob(store);
      const { id, epoch } = lease;
      await expectPrompt(waitOn(id, null));
      await appendText(store, lease, { seq: 1, text: "a" });
      await expectPrompt(waitOn(id, { epoch, seq: 0 }));
      await expectPrompt(waitOn(id, { epoch: epoch - 1, seq: 40 }));
    });

    test("gives the entry that it waited for, unless there is more to read", async () => {
      const lease = await runningJob(store);
      const { id, epoch } = lease;
      for (const seq of [1, 2]) {
        const wait = waitOn(id, { epoch, seq: seq - 1 });
        await appendText(store, lease, { seq, text: `entry ${seq}` });
        const [entry] = await store.readLog({ id, from: { epoch, seq }, maxBytes: 1 });
        expect(await expectPrompt(wait)).toEqual(entry ?? null);
      }
      const untilEnd = waitOn(id, { epoch, seq: 2 });
      await store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 2, log: EMPTY_LOG });
      const [end] = await store.readLog({ id, from: { epoch, seq: 3 }, maxBytes: 1 });
      expect(end?.kind).toBe("end");
      expect(await expectPrompt(untilEnd)).toEqual(end ?? null);
      expect(await expectPrompt(waitOn(id, { epoch, seq: 0 }))).toBeNull();
    });

    test("ends by its timeout and by its signal", async () => {
      const { id, epoch } = await runningJob(store);
      const request = { id, after: { epoch, seq: 0 } };
      await expectPrompt(store.waitForEntries({ ...request, timeoutMs: 20 }, neverAborted()));
      const controller = new AbortController();
      const wait = store.waitForEntries({ ...request, timeoutMs: NEVER_MS }, controller.signal);
      controller.abort();
      await expectPrompt(wait);
      await expectPrompt(
        store.waitForEntries({ ...request, timeoutMs: NEVER_MS }, controller.signal),
      );
    });

    test("wakes every one of many waiters, each on its own job", async () => {
      const quiet = await runningJob(store);
      const lease = await runningJob(store);
      const after = { epoch: lease.epoch, seq: 0 };
      const waits = Array.from({ length: 200 }, () => waitOn(lease.id, after));
      const controller = new AbortController();
      const other = store.waitForEntries(
        {
          id: quiet.id,
          after: { epoch: quiet.epoch, seq: 0 },
          timeoutMs: NEVER_MS,
        },
        controller.signal,
      );
      await appendText(store, lease, { seq: 1, text: "a" });
      for (const wait of waits) await expectPrompt(wait);
      controller.abort();
      await expectPrompt(other);
    });

    const { second } = harness;
    if (second !== undefined)
      test("wakes in another process", async () => {
        const lease = await runningJob(store);
        const other = await second(store);
        const wait = waitOn(lease.id, { epoch: lease.epoch, seq: 0 }, other);
        await appendText(store, lease, { seq: 1, text: "a" });
        await expectPrompt(wait);
        expect(await wholeLog(other, lease.id)).toHaveLength(2);
      });
  });
}
