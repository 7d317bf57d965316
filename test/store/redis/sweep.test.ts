import { describe, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import type { SweepAnswer } from "../../../src/store/store.ts";
import {
  appendText,
  claimJob,
  eventually,
  frame,
  newJob,
  runningJob,
  wholeLog,
} from "../../contract/store-harness.ts";
import { hasRedisServer } from "../../support/redis-server.ts";
import { redisFixture, CALM_TIMING } from "./redis-fixture.ts";

const NOTHING: SweepAnswer = { requeued: [], lost: [], cancelled: [] };
const { leaseMs, sweepIntervalMs } = CALM_TIMING;

describe.skipIf(!hasRedisServer())("sweep grace", () => {
  const fixture = redisFixture();
  const nowMs = async (): Promise<number> => {
    const [seconds, microseconds] = await fixture.raw().time();
    return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
  };
  /** Resolves when the server's clock shows a later millisecond than now. */
  const nextMillisecond = async (): Promise<void> => {
    const startMs = await nowMs();
    await eventually(nowMs, (laterMs) => laterMs > startMs);
  };
  const deadlineOf = async (id: string) =>
    Number(await fixture.raw().zscore(fixture.keys.running, id));
  const setDeadline = async (id: string, deadlineMs: number) =>
    await fixture.raw().zadd(fixture.keys.running, "XX", deadlineMs, id);
  const setLastSweep = async (lastMs: number) =>
    await fixture.raw().hset(fixture.keys.meta, "last_sweep", lastMs);
  /** As if no beat and no sweep had come for a while. */
  const fallSilent = async () => await setLastSweep((await nowMs()) - 3 * sweepIntervalMs - 50);

  test("leases outlive a server that was stopped for longer than they are", async () => {
    const timing = { leaseMs: 1_000, sweepIntervalMs: 100 };
    const store = await fixture.open({ timing });
    const lease = await runningJob(store, "w");
    await store.sweep();
    const pid = fixture.server().pid();
    process.kill(pid, "SIGSTOP");
    // The pause itself is under test, and a stopped server says nothing.
    await delay(timing.leaseMs + 200);
    process.kill(pid, "SIGCONT");
    expect(await store.sweep()).toEqual(NOTHING);
    await appendText(store, lease, { seq: 1, text: "still mine" });
  });

  test("silence gives each lease one full length, once", async () => {
    const store = await fixture.open();
    const { id } = await runningJob(store, "w");
    const startMs = await nowMs();
    await setDeadline(id, startMs - 1);
    await fallSilent();
    expect(await store.sweep()).toEqual(NOTHING);
    const extended = await deadlineOf(id);
    expect(extended).toBeGreaterThanOrEqual(startMs + leaseMs - 1);
    expect(extended).toBeLessThanOrEqual((await nowMs()) + leaseMs);

    // A second silence without a beat in between: the first extension stands, and no more is given.
    await fallSilent();
    expect(await store.sweep()).toEqual(NOTHING);
    expect(await deadlineOf(id)).toBe(extended);
    await setDeadline(id, (await nowMs()) - 1);
    await fallSilent();
    expect((await store.sweep()).requeued).toEqual([id]);
  });

  test("a beat earns a lease the next grace", async () => {
    const store = await fixture.open();
    const lease = await runningJob(store, "w");
    await fallSilent();
    await store.sweep();
    // Each deadline is to differ from the one before it.
    await nextMillisecond();
    await store.beat({ owner: "w", held: [lease] });
    const beaten = await deadlineOf(lease.id);
    // Two, for a grace is one millisecond less than a lease.
    await nextMillisecond();
    await nextMillisecond();
    await fallSilent();
    expect(await store.sweep()).toEqual(NOTHING);
    expect(await deadlineOf(lease.id)).toBeGreaterThan(beaten);
  });

  test("the first beat after a silence speaks for every owner", async () => {
    const store = await fixture.open();
    const first = await runningJob(store, "first");
    const second = await runningJob(store, "second");
    await setDeadline(second.id, (await nowMs()) - 1);
    await fallSilent();
    await store.beat({ owner: "first", held: [first] });
    expect(await store.sweep()).toEqual(NOTHING);
    await appendText(store, second, { seq: 1, text: "still mine" });
  });

  test("without silence a lease that ran out is swept", async () => {
    const store = await fixture.open();
    const { id } = await runningJob(store, "w");
    await store.sweep();
    await setDeadline(id, (await nowMs()) - 1);
    expect((await store.sweep()).requeued).toEqual([id]);
  });

  test("a clock that went back does not leave leases that hold for an hour", async () => {
    const store = await fixture.open();
    const { id } = await runningJob(store, "w");
    const hourMs = 3_600_000;
    await setDeadline(id, (await nowMs()) + hourMs);
    await setLastSweep((await nowMs()) + hourMs);
    expect(await store.sweep()).toEqual(NOTHING);
    expect(await deadlineOf(id)).toBeLessThanOrEqual((await nowMs()) + leaseMs);
    const last = Number(await fixture.raw().hget(fixture.keys.meta, "last_sweep"));
    expect(last).toBeLessThanOrEqual(await nowMs());
  });

  test("a clock that went back an hour leaves every claim newer than the one before, and the log in order", async () => {
    const store = await fixture.open();
    const { id } = await runningJob(store, "w");
    const hourAheadMs = (await nowMs()) + 3_600_000;
    // As the faster clock would have left it: the claim, and what it has written.
    await fixture.raw().hset(fixture.keys.job(id), { epoch: hourAheadMs, epochs: hourAheadMs });
    await fixture.raw().del(fixture.keys.log(id));
    await fixture.raw().xadd(fixture.keys.log(id), `${hourAheadMs}-0`, "attempt", 1, "reason", "");
    const ahead = { id, epoch: hourAheadMs, owner: "w" };
    await appendText(store, ahead, { seq: 1, text: "before" });
    await store.release(ahead);

    const lease = await claimJob(store, id, "heir");
    expect(lease.epoch).toBeGreaterThan(hourAheadMs);
    await appendText(store, lease, { seq: 1, text: "after" });
    const ids = (await wholeLog(store, id)).map(({ epoch, seq }) => [epoch, seq]);
    expect(ids).toEqual([
      [hourAheadMs, 0],
      [hourAheadMs, 1],
      [lease.epoch, 0],
      [lease.epoch, 1],
    ]);
    const body = { kind: "frames", frames: [frame("stale")] } as const;
    const log = { bytes: 5, droppedBytes: 0 };
    expect(await store.append({ ...ahead, seq: 2, body, log })).toEqual({ kind: "fenced" });
  });

  test("takes more dead leases than one call does", async () => {
    const store = await fixture.open();
    const ids: string[] = [];
    for (let index = 0; index < 230; index += 1) ids.push((await store.submit(newJob())).id);
    await Promise.all(
      ids.map(async (_, slot) => await store.claim({ owner: "w", slot, token: `t${slot}` })),
    );
    await store.sweep();
    const pastMs = ((await nowMs()) - 1).toString();
    await fixture.raw().zadd(fixture.keys.running, ...ids.flatMap((id) => [pastMs, id]));
    expect([...(await store.sweep()).requeued].sort()).toEqual([...ids].sort());
    for (const id of ids) await claimJob(store, id);
  });

  test("a dead worker's jobs come back in their order, also by two sweeps", async () => {
    const store = await fixture.open();
    const older = await runningJob(store, "dead");
    const younger = await runningJob(store, "dead");
    const waiting = await store.submit(newJob());
    await store.sweep();
    for (const { id } of [older, younger]) {
      await setDeadline(id, (await nowMs()) - 1);
      expect((await store.sweep()).requeued).toEqual([id]);
    }
    for (const { id } of [older, younger, waiting]) await claimJob(store, id);
  });

  test("a lease of a job that is gone is dropped", async () => {
    const store = await fixture.open();
    await store.sweep();
    await fixture.raw().zadd(fixture.keys.running, 1, "gone");
    expect(await store.sweep()).toEqual(NOTHING);
    expect(await fixture.raw().zcard(fixture.keys.running)).toBe(0);
  });
});
