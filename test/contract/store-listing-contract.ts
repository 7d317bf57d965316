import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { JobFilter, JobRecord } from "../../src/jobs/job.ts";
import type { Store, WorkerInfo } from "../../src/store/store.ts";
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

    test("refuses a cursor that no page gave", async () => {
      for (const cursor of ["nonsense", "", "1.2.3", "😀"])
        expect(
          await store.list({ filter: {}, limit: 5, cursor }).then(
            () => null,
            (error: unknown) => error,
          ),
        ).toMatchObject({ name: "AppError", code: "invalid_query" });
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

  describe("expired and remove", () => {
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

    test("remove leaves nothing of an ended job", async () => {
      const id = await finishOne();
      const { epoch, owner } = await recordOf(store, id);
      const kept = await finishOne();
      expect(await store.remove(id)).toBe(true);
      expect(await store.remove(id)).toBe(false);
      expect(await store.get(id)).toBeNull();
      expect(await listed({})).toEqual([kept]);
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
        },
        { name: "sh", version: "", aliases: [], extensions: [] },
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
