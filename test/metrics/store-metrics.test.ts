import { afterEach, beforeEach, describe, expect, test } from "bun:test";

import { AppError } from "../../src/errors.ts";
import { createMetrics, type Metrics } from "../../src/metrics/metrics.ts";
import { countFence, withStoreMetrics } from "../../src/metrics/store-metrics.ts";
import type { LeaseKey, Store } from "../../src/store/store.ts";
import {
  appendText,
  claimJob,
  EMPTY_LOG,
  FAILED,
  newJob,
  runningJob,
  SUCCEEDED,
} from "../contract/store-harness.ts";
import { overridden } from "../support/overridden.ts";
import { Scrape } from "../support/prometheus-text.ts";
import { openWorkshop, type Workshop } from "../support/workshop.ts";

let workshop: Workshop;
let metrics: Metrics;
let store: Store;
beforeEach(async () => {
  workshop = await openWorkshop();
  metrics = createMetrics();
  store = withStoreMetrics(workshop.store, metrics);
});
afterEach(() => workshop.close());

async function seen(): Promise<Scrape> {
  return new Scrape(await metrics.registry.metrics());
}

const nonZero = async (name: string) => (await seen()).nonZero(`jobrunner_${name}`);
const sum = async (name: string) => (await seen()).sum(`jobrunner_${name}`);

const finish = (lease: LeaseKey, lastSeq = 0, log = EMPTY_LOG, outcome = SUCCEEDED) =>
  store.finish({ ...lease, outcome, lastSeq, log });

describe("ends", () => {
  test("are counted by status and reason, each once however often it is asked for", async () => {
    const first = await runningJob(store);
    await finish(first);
    expect(await finish(first)).toEqual({ kind: "finished" });
    await finish(await runningJob(store), 0, EMPTY_LOG, FAILED);
    const queued = await store.submit(newJob());
    await store.requestCancel(queued.id);
    await store.requestCancel(queued.id);
    expect(await nonZero("jobs_ended_total")).toEqual({
      "succeeded none": 1,
      "failed signal": 1,
      "cancelled cancelled": 1,
    });
  });

  test("of jobs whose workers died are counted with what became of them", async () => {
    const requeued = await runningJob(store, "dead");
    const cancelled = await runningJob(store, "dead");
    await store.requestCancel(cancelled.id);
    await store.releaseOwner("dead");
    await claimJob(store, requeued.id, "dead");
    await store.releaseOwner("dead");
    expect(await nonZero("recovered_jobs_total")).toEqual({ requeued: 1, lost: 1, cancelled: 1 });
    expect(await nonZero("jobs_ended_total")).toEqual({
      "lost worker_lost": 1,
      "cancelled cancelled": 1,
    });
  });
});

test("a wait is counted with the first claim alone", async () => {
  const { id } = await store.submit(newJob());
  const request = { owner: "a", slot: 0, token: "one" };
  const job = await store.claim(request);
  // Its answer was lost, and is asked for again.
  expect(await store.claim(request)).toEqual(job);
  await store.release({ id, epoch: job?.epoch ?? 0, owner: "a" });
  await claimJob(store, id, "a");
  expect(await sum("job_wait_seconds_count")).toBe(1);
  expect(await sum("job_wait_seconds_sum")).toBeLessThan(10);
});

describe("runs", () => {
  test("are counted while they are held", async () => {
    expect(metrics.runs.count).toBe(0);
    const lease = await runningJob(store);
    expect(metrics.runs.count).toBe(1);
    await finish(lease);
    expect(metrics.runs.count).toBe(0);
    await store.release(await runningJob(store));
    expect(metrics.runs.count).toBe(0);
  });

  test("that are fenced are counted once, whichever call says so", async () => {
    const lease = await runningJob(store, "a");
    await workshop.store.releaseOwner("a");
    await store.beat({ owner: "a", held: [lease] });
    await store.beat({ owner: "a", held: [lease] });
    expect(await finish(lease)).toEqual({ kind: "fenced" });
    countFence(metrics, lease);
    await store.release(lease);
    await store.beat({ owner: "a", held: [lease] });
    expect(await sum("fenced_runs_total")).toBe(1);
    expect(await nonZero("jobs_ended_total")).toEqual({});
  });

  test("that this process gives up by itself are counted once, though the store says so later", async () => {
    const lease = await runningJob(store, "a");
    countFence(metrics, lease);
    countFence(metrics, lease);
    await workshop.store.releaseOwner("a");
    await store.beat({ owner: "a", held: [lease] });
    expect(await sum("fenced_runs_total")).toBe(1);
  });
});

describe("log bytes", () => {
  test("are those that the store has taken, though an entry is sent twice", async () => {
    const lease = await runningJob(store);
    await appendText(store, lease, { seq: 1, text: "12345" });
    await appendText(store, lease, { seq: 2, text: "678", totalBytes: 8 });
    await appendText(store, lease, { seq: 1, text: "12345" });
    await appendText(store, lease, { seq: 2, text: "678", totalBytes: 8 });
    await finish(lease, 2, { bytes: 8, droppedBytes: 0 });
    expect(await sum("log_bytes_total")).toBe(8);
  });

  test("of every attempt count, and what was dropped is told apart", async () => {
    const first = await runningJob(store);
    await appendText(store, first, { seq: 1, text: "lost" });
    await store.release(first);
    const second = await claimJob(store, first.id);
    await appendText(store, second, { seq: 1, text: "kept" });
    const log = { bytes: 4, droppedBytes: 100 };
    await store.append({ ...second, seq: 2, body: { kind: "gap", droppedBytes: 100 }, log });
    await finish(second, 2, { bytes: 4, droppedBytes: 120 });
    expect([await sum("log_bytes_total"), await sum("log_dropped_bytes_total")]).toEqual([8, 120]);
  });

  test("that the store refuses do not count", async () => {
    const lease = await runningJob(store);
    const refusal = new AppError("storage_full", "No room.");
    const real = workshop.store;
    const full = overridden(real, { append: () => Promise.reject(refusal) });
    const refused = appendText(withStoreMetrics(full, metrics), lease, { seq: 1, text: "1" });
    await expect(refused).rejects.toBe(refusal);
    expect(await sum("log_bytes_total")).toBe(0);
  });
});

test("errors are counted by operation and code, and thrown as they are", async () => {
  const down = new AppError("store_unavailable", "No answer.");
  const broken = withStoreMetrics(
    overridden(workshop.store, {
      get: () => Promise.reject(down),
      submitOnce: () => Promise.reject(down),
      ping: () => Promise.reject(new TypeError("a bug")),
    }),
    metrics,
  );
  await expect(broken.get("x")).rejects.toBe(down);
  await expect(broken.get("x")).rejects.toBe(down);
  const once = { job: newJob(), key: "a key", digest: "as sent" };
  await expect(broken.submitOnce(once)).rejects.toBe(down);
  await expect(broken.ping()).rejects.toThrow("a bug");
  await broken.workers();
  expect(await nonZero("store_errors_total")).toEqual({
    "get store_unavailable": 2,
    "ping internal": 1,
    "submitOnce store_unavailable": 1,
  });
});

test("every member does what the store's own does", async () => {
  const names = [
    "kind",
    "unsafeMs",
    ...Object.getOwnPropertyNames(Object.getPrototypeOf(workshop.store)),
  ];
  expect(Object.keys(store).toSorted()).toEqual(
    names.filter((name) => name !== "constructor").toSorted(),
  );
  const { id } = await store.submit(newJob());
  const once = { job: newJob(), key: "a key", digest: "as sent" };
  for (const read of [
    (from: Store) => from.submitOnce(once),
    (from: Store) => from.submitOnce({ ...once, digest: "not as sent" }),
    (from: Store) => from.findSubmitted(once),
    (from: Store) => from.get(id),
    (from: Store) => from.list({ filter: {}, limit: 10 }),
    (from: Store) => from.queuePosition(id),
    (from: Store) => from.lastEntryId(id),
    (from: Store) => from.leaseOwners(),
    (from: Store) => from.readLog({ id, from: { epoch: 0, seq: 0 }, maxBytes: 10 }),
    (from: Store) => from.expired({ olderThanMs: 0, limit: 10 }),
    (from: Store) => from.workers(),
    (from: Store) => from.remove(id),
    (from: Store) => from.sweep(),
  ])
    expect(await read(store)).toEqual(await read(workshop.store));
});
