import { describe, expect, test } from "bun:test";
import {
  claimAny,
  claimJob,
  eventually,
  expectPrompt,
  NEVER_MS,
  neverAborted,
  newJob,
} from "../../contract/store-harness.ts";
import { hasRedisServer } from "../../support/redis-server.ts";
import { redisFixture } from "./redis-fixture.ts";

describe.skipIf(!hasRedisServer())("the doorbell", () => {
  const fixture = redisFixture();

  test("a bell that reaches a process where nobody waits any more is passed on", async () => {
    const left = await fixture.open();
    const waiting = await fixture.open();
    // Its connection goes on listening for a while after its caller has left.
    await left.waitForWork(20, neverAborted());
    await eventually(
      async () => await fixture.raw().info("clients"),
      (info) => info.includes("blocked_clients:1"),
    );
    const wait = waiting.waitForWork(NEVER_MS, neverAborted());
    await waiting.submit(newJob());
    await expectPrompt(wait);
  });

  test("rings on as long as work remains", async () => {
    const store = await fixture.open();
    const other = await fixture.open();
    const first = await store.submit(newJob());
    await store.submit(newJob());
    await expectPrompt(store.waitForWork(NEVER_MS, neverAborted()));
    expect(await fixture.raw().zcard(fixture.keys.wake)).toBe(0);
    await claimJob(store, first.id);
    await expectPrompt(other.waitForWork(NEVER_MS, neverAborted()));
    expect(await claimAny(other)).not.toBeNull();
    expect(await fixture.raw().zcard(fixture.keys.wake)).toBe(0);
  });

  test("rings for what sweep and releaseOwner hand back", async () => {
    const store = await fixture.open();
    const raw = fixture.raw();
    const { id } = await store.submit(newJob());
    await claimJob(store, id, "dead");
    await raw.del(fixture.keys.wake);
    const released = store.waitForWork(NEVER_MS, neverAborted());
    await store.releaseOwner("dead");
    await expectPrompt(released);
    await store.requestCancel(id);

    const next = await store.submit(newJob());
    await claimJob(store, next.id, "dead");
    await raw.del(fixture.keys.wake);
    const swept = store.waitForWork(NEVER_MS, neverAborted());
    await raw.zadd(fixture.keys.running, "XX", 1, next.id);
    await store.sweep();
    await expectPrompt(swept);
  });
});
