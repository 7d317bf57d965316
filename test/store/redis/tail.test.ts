import { describe, expect, test } from "bun:test";
import type { Redis } from "ioredis";
import {
  eventually,
  expectPrompt,
  NEVER_MS,
  neverAborted,
  newJob,
  runningJob,
  appendText,
} from "../../contract/store-harness.ts";
import { hasRedisServer } from "../../support/redis-server.ts";
import { redisFixture } from "./redis-fixture.ts";

async function connectionCount(raw: Redis): Promise<number> {
  const list = String(await raw.client("LIST"));
  return list.trim().split("\n").length;
}

async function blockedCount(raw: Redis): Promise<number> {
  return Number(/blocked_clients:(\d+)/u.exec(await raw.info("clients"))?.[1]);
}

describe.skipIf(!hasRedisServer())("waitForEntries on Redis", () => {
  const fixture = redisFixture();

  test("hundreds of callers cost one connection, and each is woken", async () => {
    const raw = fixture.raw();
    const store = await fixture.open();
    const connections = await connectionCount(raw);
    const jobs = Array.from({ length: 400 }, () => newJob());
    const waits = jobs.map(
      async ({ id }) =>
        await store.waitForEntries({ id, after: null, timeoutMs: NEVER_MS }, neverAborted()),
    );
    await eventually(
      async () => await blockedCount(raw),
      (count) => count > 0,
    );
    expect(await connectionCount(raw)).toBe(connections + 1);
    // A log of a cancelled job has an entry: its end.
    for (const job of jobs) await store.submit(job);
    await Promise.all(jobs.map(async ({ id }) => await store.requestCancel(id)));
    await expectPrompt(Promise.all(waits).then(() => undefined));
    expect(await connectionCount(raw)).toBe(connections + 1);
  });

  test("a caller that comes while the connection blocks on others is heard at once", async () => {
    const raw = fixture.raw();
    const store = await fixture.open();
    const quiet = await runningJob(store);
    const abort = new AbortController();
    const other = store.waitForEntries(
      { id: quiet.id, after: { epoch: quiet.epoch, seq: 0 }, timeoutMs: NEVER_MS },
      abort.signal,
    );
    await eventually(
      async () => await blockedCount(raw),
      (count) => count > 0,
    );
    let slowestMs = 0;
    for (let round = 0; round < 50; round += 1) {
      const lease = await runningJob(store);
      const wait = store.waitForEntries(
        { id: lease.id, after: { epoch: lease.epoch, seq: 0 }, timeoutMs: NEVER_MS },
        neverAborted(),
      );
      const startMs = performance.now();
      await appendText(store, lease, { seq: 1, text: "now" });
      await wait;
      slowestMs = Math.max(slowestMs, performance.now() - startMs);
    }
    // A block that nobody ends would last 2 s.
    expect(slowestMs).toBeLessThan(500);
    abort.abort();
    await other;
  });

  test("a caller behind the others' place in one log is answered at once", async () => {
    const store = await fixture.open();
    const lease = await runningJob(store);
    await appendText(store, lease, { seq: 1, text: "a" });
    const abort = new AbortController();
    const ahead = store.waitForEntries(
      { id: lease.id, after: { epoch: lease.epoch, seq: 1 }, timeoutMs: NEVER_MS },
      abort.signal,
    );
    await eventually(
      async () => await blockedCount(fixture.raw()),
      (count) => count > 0,
    );
    await expectPrompt(
      store.waitForEntries(
        { id: lease.id, after: { epoch: lease.epoch, seq: 0 }, timeoutMs: NEVER_MS },
        neverAborted(),
      ),
    );
    abort.abort();
    await ahead;
  });

  test("a connection that is killed is replaced", async () => {
    const raw = fixture.raw();
    const store = await fixture.open();
    const lease = await runningJob(store);
    const wait = store.waitForEntries(
      { id: lease.id, after: { epoch: lease.epoch, seq: 0 }, timeoutMs: NEVER_MS },
      neverAborted(),
    );
    await eventually(
      async () => await blockedCount(raw),
      (count) => count > 0,
    );
    await raw.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await appendText(store, lease, { seq: 1, text: "a" });
    await expectPrompt(wait);
  });
});
