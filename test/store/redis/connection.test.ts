import { afterEach, describe, expect, test } from "bun:test";
import type { LeaseKey, Store } from "../../../src/store/store.ts";
import {
  appendText,
  claimAny,
  EMPTY_LOG,
  FAILED,
  newJob,
  recordOf,
  runningJob,
  SUCCEEDED,
  wholeLog,
} from "../../contract/store-harness.ts";
import { hasRedisServer } from "../../support/redis-server.ts";
import { startTcpProxy, type TcpProxy } from "../../support/tcp-proxy.ts";
import { redisFixture } from "./redis-fixture.ts";

/** I11 of the port: every loop goes on within 5 s after the store is back. */
const RECOVERY_MS = 5_000;

describe.skipIf(!hasRedisServer())("a lost reply", () => {
  const fixture = redisFixture();
  let proxy: TcpProxy | undefined;
  afterEach(async () => {
    await proxy?.stop();
    proxy = undefined;
  });

  /** A store behind a proxy, its scripts known to the server, so that a lost reply is that of the step itself. */
  const openBehindProxy = async (): Promise<{ store: Store; wire: TcpProxy }> => {
    const wire = await startTcpProxy(fixture.server().port);
    proxy = wire;
    const store = await fixture.open({ port: wire.port });
    const released = await runningJob(store);
    await store.release(released);
    await store.requestCancel(released.id);
    const lease = await runningJob(store);
    await appendText(store, lease, { seq: 1, text: "warm" });
    await store.beat({ owner: lease.owner, held: [lease] });
    await store.finish({ ...lease, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG });
    return { store, wire };
  };

  test("of any step is answered by doing it again, and it happens once", async () => {
    const { store, wire } = await openBehindProxy();
    const losing = async <T>(step: () => Promise<T>): Promise<T> => {
      const before = wire.lostReplies();
      wire.loseNextReply("cut");
      const answer = await step();
      expect(wire.lostReplies()).toBe(before + 1);
      return answer;
    };
    const job = newJob();
    expect((await losing(async () => await store.submit(job))).id).toBe(job.id);
    const claimed = await losing(async () => await claimAny(store, "w"));
    expect(claimed?.id).toBe(job.id);
    expect(claimed?.epochs).toHaveLength(1);
    expect(await claimAny(store, "w")).toBeNull();
    const lease: LeaseKey = { id: job.id, epoch: claimed?.epoch ?? 0, owner: "w" };
    await losing(async () => {
      await appendText(store, lease, { seq: 1, text: "once" });
    });
    expect(await losing(async () => await store.beat({ owner: "w", held: [lease] }))).toEqual({
      cancelled: [],
      fenced: [],
      unfinished: [],
    });
    expect(await losing(async () => await store.requestCancel(job.id))).toBe("signalled");
    const end = { ...lease, outcome: FAILED, lastSeq: 1, log: EMPTY_LOG };
    expect(await losing(async () => await store.finish(end))).toEqual({ kind: "finished" });
    expect((await wholeLog(store, job.id)).map(({ kind }) => kind)).toEqual([
      "attempt",
      "frames",
      "end",
    ]);

    const handedBack = await runningJob(store, "w");
    await losing(async () => {
      await store.release(handedBack);
    });
    expect(await fixture.raw().llen(fixture.keys.queues[1] ?? "")).toBe(1);
    await losing(async () => await store.requestCancel(handedBack.id));
    expect((await recordOf(store, handedBack.id)).status).toBe("cancelled");
    expect((await wholeLog(store, handedBack.id)).map(({ kind }) => kind)).toEqual([
      "attempt",
      "end",
    ]);
  });

  test("on a network that went silent is given up for a new connection", async () => {
    const { store, wire } = await openBehindProxy();
    wire.loseNextReply("silence");
    const job = newJob();
    const startMs = performance.now();
    expect((await store.submit(job)).id).toBe(job.id);
    expect(performance.now() - startMs).toBeLessThan(RECOVERY_MS);
    expect(await fixture.raw().llen(fixture.keys.queues[1] ?? "")).toBe(1);
  }, 10_000);

  test("makes a refusal of the next try no refusal: the step may have been done", async () => {
    const { store, wire } = await openBehindProxy();
    const raw = fixture.raw();
    const job = newJob();
    // Away until the server is full, so that the next try does not come before that.
    const lost = wire.replyLost().then(() => wire.blackHole());
    wire.loseNextReply("cut", job.id);
    const submitting = store.submit(job).catch((error: unknown) => error);
    await lost;
    await raw.config("SET", "maxmemory", "1");
    try {
      wire.restore();
      expect(await submitting).toMatchObject({ name: "AppError", code: "store_unavailable" });
      expect(await recordOf(store, job.id)).toMatchObject({ status: "queued" });
      const refused = await store.submit(newJob()).catch((error: unknown) => error);
      expect(refused).toMatchObject({ name: "AppError", code: "storage_full" });
    } finally {
      await raw.config("SET", "maxmemory", "0");
    }
  }, 10_000);
});

describe.skipIf(!hasRedisServer())("a server that dies", () => {
  const fixture = redisFixture({ appendFsync: "always" });

  test("is met again within 5 s of its return, by calls and by waits, and nothing is lost", async () => {
    const store = await fixture.open();
    const signal = new AbortController().signal;
    const lease = await runningJob(store, "w");
    await appendText(store, lease, { seq: 1, text: "before" });
    const entries = store.waitForEntries(
      { id: lease.id, after: { epoch: lease.epoch, seq: 1 }, timeoutMs: 60_000 },
      signal,
    );
    // Takes what bell there is, so that the wait below can only hear the later one.
    while ((await fixture.raw().zcard(fixture.keys.wake)) > 0) await store.waitForWork(100, signal);
    const work = store.waitForWork(60_000, signal);

    await fixture.server().kill9();
    // Made while there is no server: held until it is back.
    const submitting = store.submit(newJob());
    await fixture.server().restart();
    const backMs = performance.now();
    const { id } = await submitting;
    await work;
    await appendText(store, lease, { seq: 2, text: "after" });
    await entries;
    expect(performance.now() - backMs).toBeLessThan(RECOVERY_MS);

    expect((await claimAny(store, "w"))?.id).toBe(id);
    expect((await wholeLog(store, lease.id)).map(({ seq }) => seq)).toEqual([0, 1, 2]);
  }, 20_000);

  test("fails calls with store_unavailable after a few seconds, ping at once", async () => {
    const store = await fixture.open();
    await fixture.server().kill9();
    const unavailable = { name: "AppError", code: "store_unavailable" };
    const startMs = performance.now();
    const calls = await Promise.all(
      Array.from(
        { length: 20 },
        async () => await store.get("any").catch((error: unknown) => error),
      ),
    );
    const tookMs = performance.now() - startMs;
    for (const error of calls) expect(error).toMatchObject(unavailable);
    expect(tookMs).toBeGreaterThan(2_000);
    expect(tookMs).toBeLessThan(8_000);
    const pingMs = performance.now();
    expect(await store.ping().catch((error: unknown) => error)).toMatchObject(unavailable);
    expect(performance.now() - pingMs).toBeLessThan(1_000);
    // Waits end by their own time, quietly.
    await store.waitForWork(50, new AbortController().signal);
    await fixture.server().restart();
    expect(await store.get("any")).toBeNull();
  }, 20_000);
});
