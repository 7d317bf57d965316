import { afterEach, beforeEach, expect, test } from "bun:test";

import type { Store } from "../../src/store/store.ts";
import {
  claimJob,
  EMPTY_LOG,
  eventually,
  newJob,
  recordOf,
  SUCCEEDED,
  type StoreHarness,
} from "./store-harness.ts";

/** Whose jobs are whose. */
export function keyContract(harness: StoreHarness): void {
  let store: Store;
  beforeEach(async () => {
    store = await harness.open();
  });
  afterEach(async () => {
    await harness.cleanup();
  });

  /** Submits jobs of these keys in turn, each in a later millisecond than the one before. */
  const submitAll = async (keyIds: readonly (string | null)[]) => {
    const ids: string[] = [];
    let lastMs = 0;
    for (const keyId of keyIds) {
      const job = newJob({ keyId });
      // Jobs of one millisecond have no order.
      await eventually(
        () => Promise.resolve(Date.now()),
        (nowMs) => nowMs > lastMs,
      );
      lastMs = (await store.submit(job)).createdAtMs;
      ids.push(job.id);
    }
    return ids;
  };

  const pagesOf = async (onlyOf: string | null, limit: number) => {
    const pages: { readonly ids: readonly string[]; readonly cursor: string | undefined }[] = [];
    let cursor: string | undefined;
    do {
      const page = await store.list({
        filter: {},
        limit,
        onlyOf,
        ...(cursor !== undefined && { cursor }),
      });
      cursor = page.nextCursor;
      pages.push({ ids: page.items.map(({ id }) => id), cursor });
    } while (cursor !== undefined);
    return pages;
  };

  test("a job keeps the key that it was submitted with, through its whole life", async () => {
    const job = newJob({ keyId: "a" });
    expect((await store.submit(job)).keyId).toBe("a");
    const lease = await claimJob(store, job.id);
    expect((await recordOf(store, job.id)).keyId).toBe("a");
    await store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG });
    store = await harness.reopen(store);
    expect((await recordOf(store, job.id)).keyId).toBe("a");
  });

  test("of one key's jobs alone there are no others", async () => {
    const [ofA = "", ofB = "", ofNone = ""] = await submitAll(["a", "b", null]);
    for (const id of [ofA, ofB, ofNone])
      for (const onlyOf of ["a", "b", "c"] as const) {
        const found = await store.get(id, onlyOf);
        const isIts = { a: ofA, b: ofB, c: "" }[onlyOf] === id;
        expect([id, onlyOf, found?.id ?? null]).toEqual([id, onlyOf, isIts ? id : null]);
      }
    expect(await store.get(ofB, null)).toEqual(await recordOf(store, ofB));
    expect(await store.get("no-such-job", "a")).toBeNull();
  });

  test("a listing of one key's jobs has those alone, newest first, on every page", async () => {
    const ids = await submitAll(["a", "b", "a", null, "b", "a", "b", "a"]);
    const [a1, , a2, , , a3, , a4] = ids;
    const pages = await pagesOf("a", 2);
    expect(pages.flatMap((page) => page.ids)).toEqual([a4, a3, a2, a1].map(String));
    expect((await pagesOf("c", 2)).flatMap((page) => page.ids)).toEqual([]);
    expect((await pagesOf(null, 3)).flatMap((page) => page.ids)).toEqual(ids.toReversed());
  });

  test("its cursor is the time and id of a job of the key's own, and of nothing else", async () => {
    const ids = await submitAll(["b", "a", "b", "a", "b", "a"]);
    const [first] = await pagesOf("a", 2);
    const [, time = "", id = ""] = /^(\d+)_(.+)$/.exec(first?.cursor ?? "") ?? [];
    expect(id).toBe(ids[3] ?? "");
    const { createdAtMs } = await recordOf(store, id);
    // In the unit of the driver.
    expect(time.slice(0, 13)).toBe(createdAtMs.toString());
  });

  test("a cursor stays good when its job is removed, and jobs come and go", async () => {
    const ids = await submitAll(["a", "a", "a", "a"]);
    const [first] = await pagesOf("a", 2);
    await store.requestCancel(ids[2] ?? "");
    expect(await store.remove(ids[2] ?? "")).toBe(true);
    await submitAll(["a"]);
    const cursor = first?.cursor ?? "";
    const { items } = await store.list({ filter: {}, limit: 5, onlyOf: "a", cursor });
    expect(items.map((job) => job.id)).toEqual([ids[1] ?? "", ids[0] ?? ""]);
  });

  test("a listing of one key's jobs can be narrowed, and refuses a cursor that is none", async () => {
    const [queued = "", cancelled = ""] = await submitAll(["a", "a", "b"]);
    await store.requestCancel(cancelled);
    const listed = async (status: "queued" | "cancelled") => {
      const { items } = await store.list({ filter: { status }, limit: 5, onlyOf: "a" });
      return items.map(({ id }) => id);
    };
    expect(await listed("queued")).toEqual([queued]);
    expect(await listed("cancelled")).toEqual([cancelled]);
    for (const cursor of ["nonsense", "12", "", "_x"]) {
      const list = store.list({ filter: {}, limit: 5, onlyOf: "a", cursor });
      expect(await list.catch((error: unknown) => error)).toMatchObject({
        code: "invalid_query",
        fields: [{ pointer: "/cursor" }],
      });
    }
  });

  test("a removed job is in no listing", async () => {
    const [id = "", other = ""] = await submitAll(["a", "a"]);
    await store.requestCancel(id);
    await store.remove(id);
    expect((await pagesOf("a", 5)).flatMap((page) => page.ids)).toEqual([other]);
    expect(await store.get(id, "a")).toBeNull();
  });
}
