import { afterEach, beforeEach, expect, test } from "bun:test";

import type { NewJob } from "../../src/jobs/job.ts";
import type { Store } from "../../src/store/store.ts";
import {
  claimAny,
  claimJob,
  EMPTY_LOG,
  newJob,
  recordOf,
  SUCCEEDED,
  type StoreHarness,
} from "./store-harness.ts";

export function submitOnceContract(harness: StoreHarness): void {
  let store: Store;
  beforeEach(async () => {
    store = await harness.open();
  });
  afterEach(async () => {
    await harness.cleanup();
  });

  const once = async (job: NewJob, key: string, digest = "d1") => {
    const record = await store.submitOnce({ job, key, digest });
    return record === "mismatch" ? record : record.id;
  };

  test("a first submit stores and queues the job as submit does", async () => {
    const job = newJob({ priority: "high" });
    const record = await store.submitOnce({ job, key: "k", digest: "d" });
    expect(record).toEqual(await recordOf(store, job.id));
    expect(record).toMatchObject({ ...job, status: "queued" });
    expect((await claimAny(store))?.id).toBe(job.id);
  });

  test("the same key and digest give the first job, whatever has become of it; nothing else is stored", async () => {
    const first = newJob();
    expect(await once(first, "k")).toBe(first.id);
    const second = newJob();
    expect(await once(second, "k")).toBe(first.id);
    expect(await once(first, "k")).toBe(first.id);
    expect(await store.get(second.id)).toBeNull();
    const lease = await claimJob(store, first.id);
    expect(await once(second, "k")).toBe(first.id);
    await store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG });
    expect(await store.submitOnce({ job: second, key: "k", digest: "d1" })).toEqual(
      await recordOf(store, first.id),
    );
    expect(await claimAny(store)).toBeNull();
  });

  test("the same key with another digest is a mismatch, and another key another job", async () => {
    const [first, second] = [newJob(), newJob()];
    await once(first, "k");
    expect(await once(second, "k", "d2")).toBe("mismatch");
    expect(await store.get(second.id)).toBeNull();
    expect(await once(second, "other")).toBe(second.id);
  });

  test("a first look tells what submitOnce would answer, and stores nothing", async () => {
    const [first, second] = [newJob(), newJob()];
    const find = async (digest: string) => await store.findSubmitted({ key: "k", digest });
    expect(await find("d1")).toBeNull();
    expect((await store.list({ filter: {}, limit: 1 })).items).toEqual([]);
    await once(first, "k");
    expect(await find("d1")).toEqual(await recordOf(store, first.id));
    expect(await find("d2")).toBe("mismatch");
    expect(await store.findSubmitted({ key: "other", digest: "d1" })).toBeNull();
    const lease = await claimJob(store, first.id);
    await store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG });
    expect(await find("d1")).toMatchObject({ id: first.id, status: "succeeded" });
    await store.remove(first.id);
    expect([await find("d1"), await find("d2")]).toEqual([null, null]);
    await once(second, "k", "d2");
    expect(await find("d1")).toBe("mismatch");
    expect(await find("d2")).toMatchObject({ id: second.id });
  });

  test("of many at the same time one is stored", async () => {
    const jobs = Array.from({ length: 50 }, () => newJob());
    const stores = harness.second === undefined ? [store] : [store, await harness.second(store)];
    const ids = await Promise.all(
      jobs.map(async (job, index) => {
        const by = stores[index % stores.length] ?? store;
        const record = await by.submitOnce({ job, key: "k", digest: "d" });
        return record === "mismatch" ? record : record.id;
      }),
    );
    expect(new Set(ids).size).toBe(1);
    expect((await store.list({ filter: {}, limit: 200 })).items.map(({ id }) => id)).toEqual([
      ids[0] ?? "none",
    ]);
  });

  test("a key whose job was removed is free again", async () => {
    const [first, second] = [newJob(), newJob()];
    await once(first, "k");
    await store.requestCancel(first.id);
    await store.remove(first.id);
    expect(await once(second, "k", "d2")).toBe(second.id);
    expect(await once(newJob(), "k", "d2")).toBe(second.id);
  });

  test("a key is remembered across a restart", async () => {
    const first = newJob();
    await once(first, "k");
    store = await harness.reopen(store);
    expect(await store.findSubmitted({ key: "k", digest: "d1" })).toMatchObject({ id: first.id });
    expect(await once(newJob(), "k")).toBe(first.id);
    expect(await once(newJob(), "k", "d2")).toBe("mismatch");
  });
}
