import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStore } from "../../src/store/sqlite/open.ts";
import type { Store } from "../../src/store/store.ts";
import { storeContract } from "../contract/store-contract.ts";
import {
  appendText,
  claimAny,
  claimJob,
  EMPTY_LOG,
  eventually,
  newJob,
  recordOf,
  runningJob,
  SUCCEEDED,
} from "../contract/store-harness.ts";

const root = mkdtempSync(join(tmpdir(), "sqlite-store-"));
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

let lastFile = 0;
const openStores = new Map<Store, string>();

async function openAt(path: string): Promise<Store> {
  const store = await openSqliteStore({ path });
  openStores.set(store, path);
  return store;
}

async function reopen(store: Store): Promise<Store> {
  const path = openStores.get(store) ?? "";
  await store.close();
  openStores.delete(store);
  return await openAt(path);
}

async function closeAll(): Promise<void> {
  for (const store of openStores.keys()) await store.close();
  openStores.clear();
}

function freshPath(): string {
  lastFile += 1;
  return join(root, lastFile.toString(), "jobs.db");
}

storeContract("SQLite", {
  timing: { leaseMs: 300, sweepIntervalMs: 50 },
  leasesExpire: false,
  open: async () => await openAt(freshPath()),
  reopen,
  age: (store, id, byMs) => {
    const db = new DatabaseSync(openStores.get(store) ?? "");
    db.prepare("UPDATE job SET created_at = created_at - ? WHERE id = ?").run(byMs, id);
    db.close();
    return Promise.resolve();
  },
  endWindows: (store, keyId) => {
    const db = new DatabaseSync(openStores.get(store) ?? "");
    db.prepare("UPDATE key_use SET ends_at = ? WHERE key_id = ?").run(Date.now(), keyId);
    db.close();
    return Promise.resolve();
  },
  cleanup: closeAll,
});

describe("the SQLite file", () => {
  afterEach(closeAll);

  const openError = async (path: string): Promise<unknown> =>
    await openAt(path).then(
      () => null,
      (error: unknown) => error,
    );

  test("has one owner; a second one is told what to do", async () => {
    const path = freshPath();
    const store = await openAt(path);
    const error = await openError(path);
    expect(error).toMatchObject({ name: "AppError", code: "store_unavailable" });
    expect(String(error)).toContain("REDIS_URL");
    // The refused one has not touched the first one's hold, nor its jobs.
    expect(await openError(path)).toMatchObject({ code: "store_unavailable" });
    const lease = await runningJob(store);
    await appendText(store, lease, { seq: 1, text: "mine" });
    await store.close();
    expect(await openError(path)).toBeNull();
  });

  test("has one owner among processes, until that one is killed", async () => {
    const path = freshPath();
    const script = join(import.meta.dir, "sqlite", "crash-child.ts");
    const child = Bun.spawn([process.execPath, script, path], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
    });
    const reader = child.stdout.getReader();
    await reader.read();
    expect(await openError(path)).toMatchObject({ code: "store_unavailable" });
    child.kill("SIGKILL");
    await reader.cancel();
    await child.exited;
    expect(await openError(path)).toBeNull();
  });

  test("is its owner's alone to read", async () => {
    const path = freshPath();
    const store = await openAt(path);
    await store.submit(newJob());
    for (const suffix of ["", "-wal", "-shm"])
      expect(statSync(`${path}${suffix}`).mode & 0o077).toBe(0);
  });

  test("is refused where it cannot be made, or is something else", async () => {
    const path = freshPath();
    mkdirSync(path, { recursive: true });
    expect(await openError(path)).toMatchObject({ code: "store_unavailable" });
    expect(await openError(join("/proc/none", "jobs.db"))).toMatchObject({
      code: "store_unavailable",
    });
    const text = join(path, "text.db");
    writeFileSync(text, "This is not a database, and long enough to be seen as none. ".repeat(50));
    expect(await openError(text)).toMatchObject({ code: "store_unavailable" });
  });

  test("of another schema version is refused, untouched", async () => {
    const path = freshPath();
    await (await openAt(path)).close();
    const database = new DatabaseSync(path);
    database.exec("PRAGMA user_version = 99");
    database.close();
    const error = await openError(path);
    expect(error).toMatchObject({ code: "store_unavailable" });
    expect(String(error)).toContain("99");
    // The lock went with the refusal.
    expect(String(await openError(path))).toContain("99");
  });

  test("still knows the last worker that fell silent, but counts it no more", async () => {
    const path = freshPath();
    const store = await openAt(path);
    await store.announceWorker({ owner: "gone", slots: 2, runtimes: [] });
    const database = new DatabaseSync(path);
    database.prepare("UPDATE worker SET seen_at = ?").run(Date.now() - 121_000);
    database.close();
    expect(await store.workers()).toHaveLength(1);
    expect((await store.stats()).workers).toEqual({ count: 0, slots: 0 });
  });

  const withoutKeys = `DROP INDEX job_by_key; DROP INDEX job_active_by_key;
    ALTER TABLE job DROP COLUMN key_id; DROP TABLE key_use;`;
  for (const [version, lacked] of [
    [2, `DROP TABLE once; ${withoutKeys}`],
    [3, `DROP INDEX once_by_job; ${withoutKeys}`],
    [4, `DROP INDEX job_queued; ${withoutKeys}`],
    [5, withoutKeys],
    [6, ""],
  ] as const)
    test(`of version ${version} is taken on with all that it holds`, async () => {
      const path = freshPath();
      const old = await openAt(path);
      const { id } = await old.submit(newJob());
      await old.close();
      const database = new DatabaseSync(path);
      database.exec(`${lacked} DROP TABLE callback; PRAGMA user_version = ${version}`);
      database.close();
      const store = await openAt(path);
      expect(await recordOf(store, id)).toMatchObject({ status: "queued", keyId: null });
      const job = newJob({ keyId: "k", spec: { callbackUrl: "http://receiver.test/" } });
      await store.submitOnce({ job, key: "k", digest: "d" });
      expect(await store.submitOnce({ job: newJob(), key: "k", digest: "d" })).toMatchObject({
        id: job.id,
      });
      expect(await store.get(job.id, "k")).toMatchObject({ id: job.id });
      expect(await store.get(id, "k")).toBeNull();
      await store.requestCancel(job.id);
      expect(await store.takeCallbacks({ limit: 1, visibilityMs: 1_000 })).toHaveLength(1);
    });

  test("tells once what became of the jobs that were running when it was last open", async () => {
    const store = await openAt(freshPath());
    const lost = await runningJob(store);
    const once = await reopen(store);
    expect(await once.sweep()).toEqual({ requeued: [lost.id], lost: [], cancelled: [] });
    expect(await once.sweep()).toEqual({ requeued: [], lost: [], cancelled: [] });
    await claimJob(once, lost.id);
    const cancelled = await runningJob(once);
    await once.requestCancel(cancelled.id);
    const requeued = await runningJob(once);
    const twice = await reopen(once);
    expect(await twice.sweep()).toEqual({
      requeued: [requeued.id],
      lost: [lost.id],
      cancelled: [cancelled.id],
    });
  });

  test("forgets the key of a submit after a day", async () => {
    const path = freshPath();
    const store = await openAt(path);
    const submit = { job: newJob(), key: "k", digest: "d" };
    await store.submitOnce(submit);
    const setAge = (ageMs: number) => {
      const database = new DatabaseSync(path);
      database.prepare("UPDATE once SET stored_at = ?").run(Date.now() - ageMs);
      database.close();
    };
    setAge(23 * 3_600_000);
    expect(await store.findSubmitted(submit)).toMatchObject({ id: submit.job.id });
    setAge(24 * 3_600_000 + 1);
    expect(await store.findSubmitted(submit)).toBeNull();
    const job = newJob();
    expect(await store.submitOnce({ ...submit, job })).toMatchObject({ id: job.id });
  });

  test("gives crashed jobs back in the order in which they were submitted", async () => {
    const store = await openAt(freshPath());
    const ids: string[] = [];
    for (let index = 0; index < 5; index += 1) ids.push((await store.submit(newJob())).id);
    for (const id of ids.slice(0, 4)) await claimJob(store, id);
    const restarted = await reopen(store);
    for (const id of ids) await claimJob(restarted, id);
  });
});

describe("the SQLite threads", () => {
  afterEach(closeAll);

  test("take a thousand calls at once, each answered with its own job", async () => {
    const store = await openAt(freshPath());
    const jobs = Array.from({ length: 1_000 }, () => newJob());
    const records = await Promise.all(jobs.map(async (job) => await store.submit(job)));
    expect(records.map(({ id }) => id)).toEqual(jobs.map(({ id }) => id));
    const claims = await Promise.all(jobs.map(async () => await claimAny(store)));
    expect(claims.map((job) => job?.id)).toEqual(jobs.map(({ id }) => id));
  });

  test("finish what was asked before close", async () => {
    const store = await openAt(freshPath());
    const submits = [newJob(), newJob(), newJob()].map(async (job) => await store.submit(job));
    const restarted = await reopen(store);
    for (const { id } of await Promise.all(submits))
      expect((await recordOf(restarted, id)).status).toBe("queued");
  });

  test("delete the whole log of a removed job in the end, also after a restart", async () => {
    const path = freshPath();
    const store = await openAt(path);
    const lease = await runningJob(store);
    for (let seq = 1; seq <= 200; seq += 1)
      await appendText(store, lease, { seq, text: "x".repeat(1_000) });
    await store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 200, log: EMPTY_LOG });
    expect(await store.remove(lease.id)).toBe(true);
    await reopen(store);
    const database = new DatabaseSync(path, { readOnly: true });
    const left = database.prepare("SELECT count(*) AS n FROM chunk");
    const trash = database.prepare("SELECT count(*) AS n FROM trash");
    const counts = await eventually(
      async () => await Promise.resolve([left.get()?.["n"], trash.get()?.["n"]]),
      ([chunks, removed]) => chunks === 0 && removed === 0,
    );
    database.close();
    expect(counts).toEqual([0, 0]);
  });
});
