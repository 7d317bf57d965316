import { describe, expect, test } from "bun:test";
import { MAX_CRASHES } from "../../../src/jobs/retry.ts";
import {
  appendText,
  claimAny,
  claimJob,
  EMPTY_LOG,
  newJob,
  recordOf,
  runningJob,
  SUCCEEDED,
  wholeLog,
} from "../../contract/store-harness.ts";
import { hasRedisServer } from "../../support/redis-server.ts";
import { redisFixture } from "./redis-fixture.ts";

describe.skipIf(!hasRedisServer())("the scripts", () => {
  const fixture = redisFixture();

  test("at maxmemory jobs still end, and new work and output are refused", async () => {
    const raw = fixture.raw();
    const store = await fixture.open();
    const finished = await runningJob(store, "a");
    const released = await runningJob(store, "a");
    const orphan = await runningJob(store, "dead");
    const swept = await runningJob(store, "silent");
    const once = { job: newJob({ priority: "low" }), key: "k", digest: "d" };
    await store.submitOnce(once);
    const queued = await store.submit(newJob());
    await raw.zadd(fixture.keys.running, "XX", 1, swept.id);
    await raw.config("SET", "maxmemory", "1");
    try {
      const full = { code: "storage_full" };
      expect(await store.submit(newJob()).catch((error: unknown) => error)).toMatchObject(full);
      const late = appendText(store, finished, { seq: 1, text: "late" });
      expect(await late.catch((error: unknown) => error)).toMatchObject(full);
      expect(await claimAny(store).catch((error: unknown) => error)).toMatchObject(full);
      expect(await store.ping().catch((error: unknown) => error)).toMatchObject(full);

      expect(await store.beat({ owner: "a", held: [finished] })).toEqual({
        cancelled: [],
        fenced: [],
        unfinished: [],
      });
      expect(
        await store.finish({ ...finished, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG }),
      ).toEqual({ kind: "finished" });
      await store.release(released);
      expect((await recordOf(store, released.id)).status).toBe("queued");
      expect((await store.releaseOwner("dead")).requeued).toEqual([orphan.id]);
      expect((await store.sweep()).requeued).toEqual([swept.id]);
      expect(await store.requestCancel(queued.id)).toBe("cancelled");
      expect(await store.queuePosition(released.id)).not.toBeNull();
      expect(await store.findSubmitted(once)).toMatchObject({ id: once.job.id });
      await store.announceWorker({ owner: "a", slots: 1, runtimes: [] });
      expect(await store.workers()).toHaveLength(1);
      expect((await store.stats()).workers).toEqual({ count: 1, slots: 1 });
      expect(await store.remove(finished.id)).toBe(true);
    } finally {
      await raw.config("SET", "maxmemory", "0");
    }
    // Nothing was half done: what was refused works now.
    await store.submit(newJob());
    expect(await claimAny(store)).not.toBeNull();
  });

  test("SCRIPT FLUSH under load is not seen by anyone", async () => {
    const raw = fixture.raw();
    const store = await fixture.open();
    let flushing = true;
    const flushes = (async () => {
      while (flushing) await raw.script("FLUSH");
    })();
    const ids: string[] = [];
    for (let round = 0; round < 10; round += 1) {
      const jobs = await Promise.all(
        Array.from({ length: 20 }, async () => await store.submit(newJob())),
      );
      ids.push(...jobs.map(({ id }) => id));
    }
    for (let index = 0; index < ids.length; index += 1) {
      const job = await claimAny(store, "w");
      const lease = { id: job?.id ?? "", epoch: job?.epoch ?? 0, owner: "w" };
      await appendText(store, lease, { seq: 1, text: "once" });
      await store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 1, log: EMPTY_LOG });
    }
    flushing = false;
    await flushes;
    for (const id of ids) {
      expect((await recordOf(store, id)).status).toBe("succeeded");
      expect((await wholeLog(store, id)).map(({ seq }) => seq)).toEqual([0, 1, 2]);
    }
  });

  test("claim passes over ids in a queue that are not queued, however many", async () => {
    const store = await fixture.open();
    const { id } = await store.submit(newJob());
    const stale = Array.from({ length: 350 }, (_, index) => `gone-${index.toString()}`);
    // RPUSH is the end from which jobs are taken.
    await fixture.raw().rpush(fixture.keys.queues[1] ?? "", ...stale, id);
    await claimJob(store, id);
    expect(await claimAny(store)).toBeNull();
  });

  test("the oldest queued job is looked for behind ids that are not queued", async () => {
    const store = await fixture.open();
    const queue = fixture.keys.queues[1] ?? "";
    const { id } = await store.submit(newJob());
    await fixture.raw().hset(fixture.keys.job(id), "created", Date.now() - 60_000);
    await fixture.raw().rpush(queue, "gone-1", "gone-2");
    const { queued, oldestQueuedAgeMs } = await store.stats();
    expect(oldestQueuedAgeMs).toBeGreaterThanOrEqual(60_000);
    // What store.ts says of ids that the server entered twice.
    expect(queued.normal).toBe(3);
    await claimJob(store, id);
    expect((await store.stats()).queued.normal).toBe(0);
  });

  test("of workers that fell silent the last is still known, but not counted", async () => {
    const store = await fixture.open();
    await store.announceWorker({ owner: "gone", slots: 2, runtimes: [] });
    await fixture.raw().zadd(fixture.keys.workersSeen, Date.now() - 121_000, "gone");
    expect(await store.workers()).toHaveLength(1);
    expect((await store.stats()).workers).toEqual({ count: 0, slots: 0 });
  });

  test("a job that crashed its workers stays in step with its lease", async () => {
    const store = await fixture.open();
    const { id } = await store.submit(newJob());
    for (let crash = 0; crash < MAX_CRASHES; crash += 1) {
      await claimJob(store, id, "dead");
      await store.releaseOwner("dead");
      expect(await fixture.raw().zcard(fixture.keys.running)).toBe(0);
    }
    expect((await recordOf(store, id)).status).toBe("lost");
    expect(await fixture.raw().zscore(fixture.keys.ended, id)).not.toBeNull();
  });
});
