import { afterEach, beforeEach, expect, test } from "bun:test";
import type { Store } from "../../src/store/store.ts";
import {
  appendText,
  claimAny,
  claimJob,
  EMPTY_LOG,
  eventually,
  FAILED,
  newJob,
  recordOf,
  runningJob,
  SUCCEEDED,
  type StoreHarness,
  wholeLog,
} from "./store-harness.ts";

export function retentionContract(harness: StoreHarness): void {
  let store: Store;
  beforeEach(async () => {
    store = await harness.open();
  });
  afterEach(async () => {
    await harness.cleanup();
  });

  const finishOne = async (outcome = SUCCEEDED): Promise<string> => {
    const lease = await runningJob(store);
    await appendText(store, lease, { seq: 1, text: "out" });
    await store.finish({ ...lease, outcome, lastSeq: 1, log: EMPTY_LOG });
    return lease.id;
  };

  test("expired lists ended jobs only, oldest end first, at most `limit`", async () => {
    const first = await finishOne();
    const second = await finishOne(FAILED);
    const third = await store.submit(newJob());
    await eventually(
      async () => await store.requestCancel(third.id),
      (answer) => answer !== "signalled",
    );
    await runningJob(store);
    await store.submit(newJob());
    const ended = await eventually(
      async () => await store.expired({ olderThanMs: 0, limit: 10 }),
      (ids) => ids.length >= 3,
    );
    expect([...ended].sort()).toEqual([first, second, third.id].sort());
    const times = await Promise.all(
      ended.map(async (id) => (await recordOf(store, id)).finishedAtMs ?? 0),
    );
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(await store.expired({ olderThanMs: 0, limit: 2 })).toHaveLength(2);
    expect(await store.expired({ olderThanMs: 3_600_000, limit: 10 })).toEqual([]);
  });

  test("expired lists what ended before the given time, not at it", async () => {
    const id = await finishOne();
    const { finishedAtMs } = await recordOf(store, id);
    /** What the store answers when a job that ends at `cutoffMs` is just too young. */
    const expiredBefore = async (cutoffMs: number) => {
      // Only a call that began and ended within one millisecond says which millisecond the store took for now.
      const answer = await eventually(
        async () => {
          const startMs = Date.now();
          const olderThanMs = startMs - cutoffMs;
          const ids = await store.expired({ olderThanMs, limit: 10 });
          return { ids, isExact: Date.now() === startMs };
        },
        ({ isExact }) => isExact,
      );
      return answer.ids;
    };
    expect(await expiredBefore(finishedAtMs ?? 0)).toEqual([]);
    expect(await expiredBefore((finishedAtMs ?? 0) + 1)).toEqual([id]);
  });

  test("remove leaves nothing of an ended job", async () => {
    const id = await finishOne();
    const { epoch, owner } = await recordOf(store, id);
    const kept = await finishOne();
    expect(await store.remove(id)).toBe(true);
    expect(await store.remove(id)).toBe(false);
    expect(await store.get(id)).toBeNull();
    const { items } = await store.list({ filter: {}, limit: 10 });
    expect(items.map((job) => job.id)).toEqual([kept]);
    expect(await wholeLog(store, id)).toEqual([]);
    expect(await store.lastEntryId(id)).toBeNull();
    expect(await store.requestCancel(id)).toBe("unknown");
    const lease = { id, epoch, owner: owner ?? "" };
    expect(
      await store.append({
        ...lease,
        seq: 2,
        body: { kind: "gap", droppedBytes: 1 },
        log: EMPTY_LOG,
      }),
    ).toEqual({ kind: "fenced" });
    expect(
      await store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG }),
    ).toEqual({ kind: "fenced" });
    const ended = await eventually(
      async () => await store.expired({ olderThanMs: 0, limit: 10 }),
      (ids) => ids.length > 0,
    );
    expect(ended).toEqual([kept]);
    expect(await wholeLog(store, kept)).toHaveLength(3);
  });

  test("remove frees the id and leaves nothing of the old log behind", async () => {
    const id = await finishOne();
    await store.remove(id);
    await store.submit(newJob({ id }));
    const lease = await claimJob(store, id);
    expect(await wholeLog(store, id)).toEqual([
      { epoch: lease.epoch, seq: 0, kind: "attempt", attempt: 1, reason: null },
    ]);
  });

  test("remove never touches an active job", async () => {
    const lease = await runningJob(store);
    const queued = await store.submit(newJob());
    expect(await store.remove(lease.id)).toBe(false);
    expect(await store.remove(queued.id)).toBe(false);
    await appendText(store, lease, { seq: 1, text: "here" });
    expect((await claimAny(store))?.id).toBe(queued.id);
  });
}
