import { afterEach, beforeEach, expect, test } from "bun:test";
import type { Store } from "../../src/store/store.ts";
import {
  appendText,
  EMPTY_LOG,
  frame,
  recordOf,
  runningJob,
  SUCCEEDED,
  type StoreHarness,
  wholeLog,
} from "./store-harness.ts";

/** What append and finish do when the store's log ends before the worker's. */
export function behindContract(harness: StoreHarness): void {
  let store: Store;
  beforeEach(async () => {
    store = await harness.open();
  });
  afterEach(async () => {
    await harness.cleanup();
  });

  test("finish does not end a job whose log lacks what its worker has appended", async () => {
    const lease = await runningJob(store);
    await appendText(store, lease, { seq: 1, text: "one" });
    const before = await recordOf(store, lease.id);
    const end = { ...lease, outcome: SUCCEEDED, lastSeq: 3, log: EMPTY_LOG };
    for (let round = 0; round < 2; round += 1)
      expect(await store.finish(end)).toEqual({ kind: "behind", lastSeq: 1 });
    expect(await recordOf(store, lease.id)).toEqual(before);
    expect(await wholeLog(store, lease.id)).toHaveLength(2);
    for (const seq of [2, 3]) await appendText(store, lease, { seq, text: seq.toString() });
    expect(await store.finish(end)).toEqual({ kind: "finished" });
    // A claim that has ended the job has ended it, whatever it says of its log by then.
    expect(await store.finish({ ...end, lastSeq: 9 })).toEqual({ kind: "finished" });
    const log = await wholeLog(store, lease.id);
    expect(log.map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4]);
    expect(log.at(-1)?.kind).toBe("end");
  });

  test("finish is fenced, not behind, for who does not hold the job", async () => {
    const lease = await runningJob(store);
    const end = { ...lease, outcome: SUCCEEDED, lastSeq: 7, log: EMPTY_LOG };
    expect(await store.finish({ ...end, owner: "other" })).toEqual({ kind: "fenced" });
    await store.release(lease);
    expect(await store.finish(end)).toEqual({ kind: "fenced" });
    expect((await recordOf(store, lease.id)).status).toBe("queued");
  });

  const { loseTail } = harness;
  if (loseTail === undefined) return;

  test("append: a store that lost its tail says where it stands and takes the rest again", async () => {
    const lease = await runningJob(store);
    for (let seq = 1; seq <= 4; seq += 1)
      await appendText(store, lease, { seq, text: seq.toString() });
    await loseTail(store, lease.id, 2);
    const fifth = {
      seq: 5,
      body: { kind: "frames", frames: [frame("5")] },
      log: EMPTY_LOG,
    } as const;
    expect(await store.append({ ...lease, ...fifth })).toEqual({
      kind: "behind",
      lastSeq: 2,
    });
    for (let seq = 3; seq <= 5; seq += 1)
      await appendText(store, lease, { seq, text: seq.toString() });
    const log = await wholeLog(store, lease.id);
    expect(log.map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("finish waits for the tail that a store has lost, so that the log is whole", async () => {
    const lease = await runningJob(store);
    for (const seq of [1, 2]) await appendText(store, lease, { seq, text: seq.toString() });
    await loseTail(store, lease.id, 1);
    const end = { ...lease, outcome: SUCCEEDED, lastSeq: 2, log: EMPTY_LOG };
    expect(await store.finish(end)).toEqual({ kind: "behind", lastSeq: 1 });
    await appendText(store, lease, { seq: 2, text: "2" });
    expect(await store.finish(end)).toEqual({ kind: "finished" });
    const log = await wholeLog(store, lease.id);
    expect(log.map(({ seq, kind }) => [seq, kind])).toEqual([
      [0, "attempt"],
      [1, "frames"],
      [2, "frames"],
      [3, "end"],
    ]);
  });
}
