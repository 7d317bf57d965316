import { afterEach, beforeEach, expect, test } from "bun:test";
import type { Store } from "../../src/store/store.ts";
import {
  claimAny,
  claimJob,
  EMPTY_LOG,
  eventually,
  newJob,
  type StoreHarness,
  SUCCEEDED,
} from "./store-harness.ts";

const LONG_MS = 60_000;

export function outboxContract(harness: StoreHarness): void {
  let store: Store;
  beforeEach(async () => {
    store = await harness.open();
  });
  afterEach(async () => {
    await harness.cleanup();
  });

  const withCallback = () => newJob({ spec: { callbackUrl: "http://receiver.test/ended" } });
  const take = (visibilityMs = LONG_MS, limit = 10) => store.takeCallbacks({ limit, visibilityMs });
  const finish = async (id: string) => {
    const lease = await claimJob(store, id);
    await store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG });
  };
  const finishOne = async (): Promise<string> => {
    const { id } = await store.submit(withCallback());
    await finish(id);
    return id;
  };

  test("a job that asks for a callback is due once it has ended, and no other", async () => {
    const silent = await store.submit(newJob());
    const { id } = await store.submit(withCallback());
    expect(await take()).toEqual([]);
    await finish(silent.id);
    expect(await take()).toEqual([]);
    const lease = await claimJob(store, id);
    expect(await take()).toEqual([]);
    await store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG });
    expect(await take()).toEqual([{ id, attempt: 1 }]);
    // The same end once more, as after a lost answer, is no other one.
    await store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG });
    expect(await take()).toEqual([]);
  });

  test("so is one that was submitted under a key, and one that is cancelled, waiting or running", async () => {
    const keyed = await store.submitOnce({ job: withCallback(), key: "once", digest: "d" });
    if (keyed === "mismatch") throw new Error("The key is new");
    await store.requestCancel(keyed.id);
    expect(await take()).toEqual([{ id: keyed.id, attempt: 1 }]);
    const { id } = await store.submit(withCallback());
    const lease = await claimJob(store, id);
    await store.requestCancel(id);
    expect(await take()).toEqual([]);
    await store.release(lease);
    expect(await take()).toEqual([{ id, attempt: 1 }]);
  });

  test("and one that is lost with its workers", async () => {
    const { id } = await store.submit(withCallback());
    await eventually(
      async () => {
        const claimed = await claimAny(store, "doomed");
        if (claimed === null) return "lost";
        await store.releaseOwner("doomed");
        return (await store.get(id))?.status;
      },
      (status) => status === "lost",
    );
    expect(await take()).toEqual([{ id, attempt: 1 }]);
  });

  test("a taken one comes again when nobody settles it, as the next try", async () => {
    const id = await finishOne();
    expect(await take(50)).toEqual([{ id, attempt: 1 }]);
    const again = await eventually(
      () => take(),
      (due) => due.length > 0,
    );
    expect(again).toEqual([{ id, attempt: 2 }]);
    // Whoever had it first comes too late to say anything of it.
    await store.settleCallback({ id, attempt: 1, retryInMs: 0 });
    expect(await take()).toEqual([]);
    await store.settleCallback({ id, attempt: 1, retryInMs: null });
    await store.settleCallback({ id, attempt: 2, retryInMs: 0 });
    expect(await take()).toEqual([{ id, attempt: 3 }]);
  });

  test("a settled one is due when it was said to be, or never", async () => {
    const id = await finishOne();
    await take();
    await store.settleCallback({ id, attempt: 1, retryInMs: LONG_MS });
    expect(await take()).toEqual([]);
    await store.settleCallback({ id, attempt: 1, retryInMs: 0 });
    expect(await take(0)).toEqual([{ id, attempt: 2 }]);
    await store.settleCallback({ id, attempt: 2, retryInMs: null });
    expect(await take()).toEqual([]);
    // The answer may have been lost, and what is gone does not come back.
    await store.settleCallback({ id, attempt: 2, retryInMs: 0 });
    expect(await take()).toEqual([]);
  });

  test("a try that was not made does not count", async () => {
    const id = await finishOne();
    await take();
    await store.settleCallback({ id, attempt: 1, retryInMs: 0, isUntried: true });
    expect(await take()).toEqual([{ id, attempt: 1 }]);
    await store.settleCallback({ id, attempt: 1, retryInMs: 0 });
    expect(await take()).toEqual([{ id, attempt: 2 }]);
  });

  test("no more are taken than asked for, those that wait longest first", async () => {
    const [first, second] = [await finishOne(), await finishOne()];
    // Due at different times, whatever the clock's grain.
    for (const { id, attempt } of await take())
      await store.settleCallback({ id, attempt, retryInMs: id === first ? 0 : 5 });
    const due = await eventually(
      () => take(0, 1),
      (some) => some.length > 0,
    );
    expect(due).toEqual([{ id: first, attempt: 2 }]);
    await store.settleCallback({ id: first, attempt: 2, retryInMs: LONG_MS });
    expect(
      await eventually(
        () => take(),
        (some) => some.length > 0,
      ),
    ).toEqual([{ id: second, attempt: 2 }]);
  });

  test("a removed job is told of no more, also where its id is used again", async () => {
    const id = await finishOne();
    expect(await store.remove(id)).toBe(true);
    expect(await take()).toEqual([]);
    await store.settleCallback({ id, attempt: 1, retryInMs: 0 });
    expect(await take()).toEqual([]);
    await store.submit(newJob({ id }));
    await finish(id);
    expect(await take()).toEqual([]);
  });

  test("what is due is still so after a restart", async () => {
    const taken = await finishOne();
    await take(0);
    const fresh = await finishOne();
    store = await harness.reopen(store);
    const due = await take();
    expect(due).toContainEqual({ id: taken, attempt: 2 });
    expect(due).toContainEqual({ id: fresh, attempt: 1 });
  });
}
