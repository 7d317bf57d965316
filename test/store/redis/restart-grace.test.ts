import { describe, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";

import type { Store } from "../../../src/store/store.ts";
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

describe.skipIf(!hasRedisServer())("a server that came back without its last second", () => {
  const fixture = redisFixture();

  const crash = async () => {
    await fixture.server().kill9();
    await fixture.server().restart();
  };

  test("says which ends it has forgotten, and takes them again", async () => {
    const store = await fixture.open();
    const forgotten = await runningJob(store, "w");
    const kept = await runningJob(store, "w");
    const finish = (lease: typeof kept, lastSeq: number) =>
      store.finish({ ...lease, outcome: SUCCEEDED, lastSeq, log: EMPTY_LOG });
    await finish(kept, 0);
    await fixture.raw().save();
    await appendText(store, forgotten, { seq: 1, text: "one" });
    await finish(forgotten, 1);
    await crash();

    expect((await recordOf(store, forgotten.id)).status).toBe("running");
    const ended = [forgotten, kept].map(({ id, epoch }) => ({ id, epoch }));
    const beat = { owner: "w", held: [], ended };
    expect(await store.beat(beat)).toEqual({
      cancelled: [],
      fenced: [],
      unfinished: [{ id: forgotten.id, epoch: forgotten.epoch }],
    });
    expect(await finish(forgotten, 1)).toEqual({ kind: "behind", lastSeq: 0 });
    await appendText(store, forgotten, { seq: 1, text: "one" });
    expect(await finish(forgotten, 1)).toEqual({ kind: "finished" });
    expect((await store.beat(beat)).unfinished).toEqual([]);
    expect((await wholeLog(store, forgotten.id)).map(({ seq }) => seq)).toEqual([0, 1, 2]);
  }, 20_000);

  /** As a worker does when it starts. */
  const announce = async (store: Store, owner: string) =>
    await store.announceWorker({ owner, slots: 1, runtimes: [] });

  test("is claimed from as soon as the workers that were there before have beaten", async () => {
    const [idle, other] = [await fixture.open(), await fixture.open()];
    for (const owner of ["idle", "other"]) await announce(idle, owner);
    const beat = async (owner: string) => await idle.beat({ owner, held: [] });
    await beat("other");
    expect(await claimAny(other, "other")).toBeNull();
    const { id } = await other.submit(newJob());
    // One that fell silent before the end is not waited for.
    await announce(idle, "gone");
    const longAgoMs = Number((await fixture.raw().time())[0]) * 1_000 - 10_000;
    await fixture.raw().zadd(fixture.keys.workersSeen, longAgoMs, "gone");
    await fixture.raw().save();
    // A server tells since when it runs in whole seconds: until then its last moments cannot be told from its first.
    await delay(1_100);
    await crash();

    const [claimed, startMs] = [claimAny(other, "other"), performance.now()];
    let isClaimed = false;
    const over = claimed.finally(() => (isClaimed = true));
    await beat("idle");
    await delay(500);
    expect(isClaimed).toBe(false);
    while (!isClaimed) {
      await Promise.all(["idle", "other"].map(beat));
      await delay(20);
    }
    expect((await over)?.id).toBe(id);
    expect(performance.now() - startMs).toBeLessThan(2_500);
  }, 20_000);

  test("does not take a beat that was begun before it was lost for a sign that every claim is entered again", async () => {
    const store = await fixture.open();
    await announce(store, "w");
    const { keys } = fixture;
    const seen = async () => await fixture.raw().zscore(keys.workersSeen, "w");
    const before = await seen();
    await fixture.raw().save();
    await fixture.server().kill9();
    const begun = store.beat({ owner: "w", held: [] });
    await fixture.server().restart();
    await begun;
    expect(await seen()).toBe(before);
    await store.beat({ owner: "w", held: [] });
    expect(await seen()).not.toBe(before);
  }, 20_000);

  test("is not claimed from before the workers that ran its jobs have entered their claims again", async () => {
    const [runner, other] = [await fixture.open(), await fixture.open()];
    expect(await claimAny(other)).toBeNull();
    const job = await runner.submit(newJob());
    await fixture.raw().save();
    const lease = await claimJob(runner, job.id, "runner");
    await crash();

    const claimed = claimAny(other, "other");
    expect((await recordOf(runner, job.id)).status).toBe("queued");
    await runner.beat({ owner: "runner", held: [lease] });
    expect(await claimed).toBeNull();
    expect((await recordOf(runner, job.id)).epochs).toEqual([lease.epoch]);
  }, 20_000);

  test("is not claimed from by a process that has just been started, either", async () => {
    const runner = await fixture.open();
    await claimAny(runner);
    const job = await runner.submit(newJob());
    await fixture.raw().save();
    const lease = await claimJob(runner, job.id, "runner");
    await crash();

    const claimed = claimAny(await fixture.open(), "other");
    await runner.beat({ owner: "runner", held: [lease] });
    expect(await claimed).toBeNull();
    expect((await recordOf(runner, job.id)).epochs).toEqual([lease.epoch]);
  }, 20_000);

  test("that lost nothing but its connections is claimed from at once", async () => {
    const store = await fixture.open();
    expect(await claimAny(store)).toBeNull();
    await fixture.raw().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    const { id } = await store.submit(newJob());
    const startMs = performance.now();
    await claimJob(store, id);
    expect(performance.now() - startMs).toBeLessThan(1_000);
  });
});
