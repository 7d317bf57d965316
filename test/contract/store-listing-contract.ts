import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { JobFilter, JobRecord } from "../../src/jobs/job.ts";
import { outcomeWithoutRun } from "../../src/jobs/outcome.ts";
import { MIB } from "../../src/jobs/limits.ts";
import type { Store, WorkerInfo } from "../../src/store/store.ts";
import {
  claimJob,
  EMPTY_LOG,
  eventually,
  newJob,
  recordOf,
  SUCCEEDED,
  type StoreHarness,
} from "./store-harness.ts";

export function listingContract(harness: StoreHarness): void {
  let store: Store;
  beforeEach(async () => {
    store = await harness.open();
  });
  afterEach(async () => {
    await harness.cleanup();
  });

  const pages = async (
    filter: JobFilter,
    limit: number,
  ): Promise<readonly (readonly JobRecord[])[]> => {
    const found: (readonly JobRecord[])[] = [];
    let cursor: string | undefined;
    do {
      const page = await store.list({
        filter,
        limit,
        ...(cursor === undefined ? {} : { cursor }),
      });
      expect(page.items.length).toBeLessThanOrEqual(limit);
      found.push(page.items);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    return found;
  };
  const listed = async (filter: JobFilter) => (await pages(filter, 200)).flat().map(({ id }) => id);

  describe("list", () => {
    test("is empty at first", async () => {
      expect(await store.list({ filter: {}, limit: 10 })).toEqual({
        items: [],
      });
    });

    test("gives whole records, newest first", async () => {
      const old = await store.submit(newJob());
      // Only the order of jobs of different milliseconds is promised.
      const young = await eventually(
        async () => await store.submit(newJob()),
        ({ createdAtMs }) => createdAtMs > old.createdAtMs,
      );
      const { items } = await store.list({ filter: {}, limit: 200 });
      expect(items.at(0)).toEqual(await recordOf(store, young.id));
      expect(items.at(-1)?.createdAtMs).toBe(old.createdAtMs);
      const times = items.map(({ createdAtMs }) => createdAtMs);
      expect(times).toEqual([...times].sort((a, b) => b - a));
    });

    test("pages give every job once, whatever is submitted meanwhile", async () => {
      const ids = new Set<string>();
      for (let index = 0; index < 25; index += 1) ids.add((await store.submit(newJob())).id);
      const first = await store.list({ filter: {}, limit: 7 });
      expect(first.items).toHaveLength(7);
      const seen = first.items.map(({ id }) => id);
      let cursor = first.nextCursor;
      while (cursor !== undefined) {
        await store.submit(newJob());
        const page = await store.list({ filter: {}, limit: 7, cursor });
        seen.push(...page.items.map(({ id }) => id));
        cursor = page.nextCursor;
      }
      expect(new Set(seen)).toEqual(ids);
      expect(seen).toHaveLength(25);
    });

    test("the last full page has no next one, or an empty one", async () => {
      for (let index = 0; index < 6; index += 1) await store.submit(newJob());
      const found = await pages({}, 3);
      expect(found.flat()).toHaveLength(6);
    });

    test("narrows by status, runtime and label", async () => {
      const plain = await store.submit(newJob());
      const node = await store.submit(
        newJob({
          runtime: { name: "node", version: "24.0.0" },
          spec: { runtime: "node", labels: { team: "a", "odd key:=": "ü" } },
        }),
      );
      const cancelled = await store.submit(newJob({ spec: { labels: { team: "b" } } }));
      await store.requestCancel(cancelled.id);
      await claimJob(store, plain.id);
      expect(await listed({ status: "running" })).toEqual([plain.id]);
      expect(await listed({ status: "queued" })).toEqual([node.id]);
      expect(await listed({ status: "cancelled" })).toEqual([cancelled.id]);
      expect(await listed({ status: "lost" })).toEqual([]);
      expect(await listed({ runtime: "node" })).toEqual([node.id]);
      // By the name asked for and by the one it became.
      for (const runtime of ["python3", "python3.11"])
        expect((await listed({ runtime })).sort()).toEqual([plain.id, cancelled.id].sort());
      expect(await listed({ label: { name: "team", value: "b" } })).toEqual([cancelled.id]);
      expect(await listed({ label: { name: "odd key:=", value: "ü" } })).toEqual([node.id]);
      expect(
        await listed({
          runtime: "node",
          label: { name: "team", value: "b" },
        }),
      ).toEqual([]);
    });

    test("finds the few among many, however many pages it takes", async () => {
      const wanted = new Set<string>();
      for (let index = 0; index < 60; index += 1) {
        const labels = index % 20 === 7 ? { pick: "me" } : {};
        const { id } = await store.submit(newJob({ spec: { labels } }));
        if (index % 20 === 7) wanted.add(id);
      }
      const found = await pages({ label: { name: "pick", value: "me" } }, 2);
      const ids = found.flat().map(({ id }) => id);
      expect(new Set(ids)).toEqual(wanted);
      expect(ids).toHaveLength(3);
    });

    test("a page stops at 8 MiB of specs, whatever its limit and its filter", async () => {
      const stdin = "x".repeat(MIB);
      for (let index = 0; index < 10; index += 1) await store.submit(newJob({ spec: { stdin } }));
      const everyJob = await pages({}, 200);
      expect(everyJob.map(({ length }) => length)).toEqual([8, 2]);
      const noJob = await pages({ label: { name: "pick", value: "me" } }, 3);
      expect(noJob.map(({ length }) => length)).toEqual([0, 0]);
    });

    test("a page stops at 8 MiB of outcomes, too", async () => {
      const path = "x".repeat(1000);
      const artifacts = Array.from({ length: 1000 }, (_, index) => ({
        path: `${index}${path}`,
        blob: "1/1",
        sizeBytes: 0,
        sha256: "0".repeat(64),
      }));
      const outcome = { ...outcomeWithoutRun("failed", "sandbox_error", null), artifacts };
      for (let index = 0; index < 9; index += 1) {
        await store.submit(newJob());
        const job = await store.claim({ owner: "me", slot: 0, token: crypto.randomUUID() });
        if (job === null) throw new Error("Nothing to claim");
        const claim = { id: job.id, epoch: job.epoch, owner: "me", lastSeq: 0 };
        await store.finish({ ...claim, outcome, log: { bytes: 0, droppedBytes: 0 } });
      }
      // Of about 1.1 MB each.
      expect((await pages({}, 200)).map(({ length }) => length)).toEqual([8, 1]);
    });

    test("refuses a cursor that no page gave", async () => {
      for (const cursor of ["nonsense", "", "1.2.3", "😀"])
        expect(
          await store.list({ filter: {}, limit: 5, cursor }).then(
            () => null,
            (error: unknown) => error,
          ),
        ).toMatchObject({
          name: "AppError",
          code: "invalid_query",
          fields: [{ pointer: "/cursor" }],
        });
    });
  });

  describe("queuePosition", () => {
    test("counts what will be claimed before", async () => {
      const low = await store.submit(newJob({ priority: "low" }));
      const first = await store.submit(newJob());
      const second = await store.submit(newJob());
      const high = await store.submit(newJob({ priority: "high" }));
      const positions = async () =>
        await Promise.all(
          [high, first, second, low].map(async ({ id }) => await store.queuePosition(id)),
        );
      expect(await positions()).toEqual([0, 1, 2, 3]);
      const lease = await claimJob(store, high.id);
      expect(await positions()).toEqual([null, 0, 1, 2]);
      await store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG });
      await store.requestCancel(first.id);
      expect(await positions()).toEqual([null, null, 0, 1]);
    });
  });

  describe("workers", () => {
    const info: WorkerInfo = {
      owner: "host:1:abc",
      slots: 4,
      runtimes: [
        {
          name: "python3.11",
          version: "3.11.2",
          aliases: ["python3", "python"],
          extensions: [".py"],
          compiles: false,
          installs: "requirements.txt",
        },
        { name: "c", version: "", aliases: [], extensions: [], compiles: true, installs: null },
      ],
    };

    test("lists those who announced themselves, each in its latest words", async () => {
      expect(await store.workers()).toEqual([]);
      const other = { owner: "host:2:def", slots: 1, runtimes: [] };
      await store.announceWorker({ ...info, slots: 1 });
      await store.announceWorker(other);
      await store.announceWorker(info);
      const workers = [...(await store.workers())].sort((a, b) => (a.owner < b.owner ? -1 : 1));
      expect(workers).toEqual([info, other]);
    });
  });
}
