import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { framesByteLength, type LogBody } from "../../src/jobs/log-entry.ts";
import type { LeaseKey, Store } from "../../src/store/store.ts";
import {
  appendText,
  claimJob,
  EMPTY_LOG,
  frame,
  recordOf,
  runningJob,
  SUCCEEDED,
  type StoreHarness,
  wholeLog,
} from "./store-harness.ts";

const EVERY_BYTE = Uint8Array.from({ length: 256 }, (_, byte) => byte);

export function appendContract(harness: StoreHarness): void {
  let store: Store;
  beforeEach(async () => {
    store = await harness.open();
  });
  afterEach(async () => {
    await harness.cleanup();
  });

  const append = async (lease: LeaseKey, seq: number, body: LogBody) =>
    await store.append({ ...lease, seq, body, log: EMPTY_LOG });
  const framesBody = (text: string): LogBody => ({
    kind: "frames",
    frames: [frame(text)],
  });

  describe("append", () => {
    test("keeps every byte and the order of frames", async () => {
      const lease = await runningJob(store);
      const frames = [
        frame(EVERY_BYTE, "stderr"),
        frame(Uint8Array.of(0), "stdout"),
        frame(Uint8Array.of(0xff, 0xfe), "stdout"),
        frame("😀\r\n", "stderr"),
        frame(Uint8Array.of(0xf0, 0x9f), "stdout"),
        frame("refused\n", "compiler"),
        frame("fetched\n", "installer"),
      ];
      await append(lease, 1, { kind: "frames", frames });
      const big = Uint8Array.from({ length: 64 * 1024 }, (_, index) => (index * 7) % 256);
      await append(lease, 2, { kind: "frames", frames: [frame(big)] });
      await append(lease, 3, { kind: "gap", droppedBytes: 12_345 });
      const { epoch } = lease;
      expect(await wholeLog(store, lease.id)).toEqual([
        { epoch, seq: 0, kind: "attempt", attempt: 1, reason: null },
        { epoch, seq: 1, kind: "frames", frames },
        { epoch, seq: 2, kind: "frames", frames: [frame(big)] },
        { epoch, seq: 3, kind: "gap", droppedBytes: 12_345 },
      ]);
    });

    test("takes an entry without bytes", async () => {
      const lease = await runningJob(store);
      expect(await append(lease, 1, { kind: "frames", frames: [] })).toEqual({
        kind: "stored",
      });
      await append(lease, 2, framesBody("after"));
      const [, empty, after] = await wholeLog(store, lease.id);
      expect(empty).toMatchObject({ kind: "frames", seq: 1 });
      expect(empty?.kind === "frames" ? framesByteLength(empty.frames) : -1).toBe(0);
      expect(after).toMatchObject({ kind: "frames", seq: 2 });
    });

    test("sets the record's totals", async () => {
      const lease = await runningJob(store);
      const log = { bytes: 5, droppedBytes: 7 };
      await store.append({ ...lease, seq: 1, body: framesBody("12345"), log });
      expect((await recordOf(store, lease.id)).log).toEqual(log);
    });

    test("stores an entry once, however often it is sent", async () => {
      const lease = await runningJob(store);
      for (let round = 0; round < 3; round += 1)
        expect(await append(lease, 1, framesBody("one"))).toEqual({
          kind: "stored",
        });
      await append(lease, 2, framesBody("two"));
      expect(await append(lease, 1, framesBody("other"))).toEqual({
        kind: "stored",
      });
      const { epoch } = lease;
      expect((await wholeLog(store, lease.id)).slice(1)).toEqual([
        { epoch, seq: 1, ...framesBody("one") },
        { epoch, seq: 2, ...framesBody("two") },
      ]);
    });

    test("is fenced for who does not hold the job", async () => {
      const lease = await runningJob(store);
      const fenced = { kind: "fenced" } as const;
      const body = framesBody("forged");
      const { epoch } = lease;
      expect(await append({ ...lease, epoch: epoch - 1 }, 1, body)).toEqual(fenced);
      expect(await append({ ...lease, epoch: epoch + 1 }, 1, body)).toEqual(fenced);
      expect(await append({ ...lease, owner: "other" }, 1, body)).toEqual(fenced);
      expect(await append({ ...lease, id: "no-such-job" }, 1, body)).toEqual(fenced);
      expect(await wholeLog(store, lease.id)).toHaveLength(1);
      expect(await wholeLog(store, "no-such-job")).toEqual([]);
    });

    test("is fenced on a queued job, after a newer claim and after the end", async () => {
      const old = await runningJob(store);
      await appendText(store, old, { seq: 1, text: "kept" });
      await store.release(old);
      const fenced = { kind: "fenced" } as const;
      expect(await append(old, 2, framesBody("late"))).toEqual(fenced);
      const now = await claimJob(store, old.id);
      expect(await append(old, 2, framesBody("late"))).toEqual(fenced);
      await appendText(store, now, { seq: 1, text: "new" });
      await store.finish({ ...now, outcome: SUCCEEDED, lastSeq: 1, log: EMPTY_LOG });
      expect(await append(now, 2, framesBody("late"))).toEqual(fenced);
      expect(await append(now, 3, framesBody("late"))).toEqual(fenced);
      const log = await wholeLog(store, old.id);
      expect(log.map(({ epoch, seq, kind }) => [epoch, seq, kind])).toEqual([
        [old.epoch, 0, "attempt"],
        [old.epoch, 1, "frames"],
        [now.epoch, 0, "attempt"],
        [now.epoch, 1, "frames"],
        [now.epoch, 2, "end"],
      ]);
    });

    test("never leaves a hole: an entry past the next one is answered with the last", async () => {
      const lease = await runningJob(store);
      await appendText(store, lease, { seq: 1, text: "one" });
      expect(await append(lease, 3, framesBody("three"))).toEqual({
        kind: "behind",
        lastSeq: 1,
      });
      expect(await wholeLog(store, lease.id)).toHaveLength(2);
    });
  });
}
