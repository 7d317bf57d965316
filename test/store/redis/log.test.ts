import { describe, expect, test } from "bun:test";
import {
  ENTRY_MAX_BYTES,
  type Frame,
  FULL_ENTRY_MEMORY_BYTES,
} from "../../../src/jobs/log-entry.ts";
import {
  appendText,
  claimAny,
  claimJob,
  EMPTY_LOG,
  frame,
  newJob,
  recordOf,
  runningJob,
  SUCCEEDED,
  wholeLog,
} from "../../contract/store-harness.ts";
import { hasRedisServer } from "../../support/redis-server.ts";
import { redisFixture } from "./redis-fixture.ts";

describe.skipIf(!hasRedisServer())("a log in Redis", () => {
  const fixture = redisFixture();

  test("a server that came back without its tail says so, and takes it again", async () => {
    const store = await fixture.open();
    const lease = await runningJob(store, "w");
    await appendText(store, lease, { seq: 1, text: "1" });
    await fixture.raw().save();
    for (const seq of [2, 3]) await appendText(store, lease, { seq, text: seq.toString() });
    await fixture.server().kill9();
    await fixture.server().restart();

    const fourth = {
      ...lease,
      seq: 4,
      body: { kind: "frames", frames: [frame("4")] },
      log: EMPTY_LOG,
    } as const;
    expect(await store.append(fourth)).toEqual({ kind: "behind", lastSeq: 1 });
    for (const seq of [2, 3, 4]) await appendText(store, lease, { seq, text: seq.toString() });
    const log = await wholeLog(store, lease.id);
    expect(log.map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4]);
  }, 20_000);

  test("a server that came back without its tail does not end the job before it has it again", async () => {
    const store = await fixture.open();
    const lease = await runningJob(store, "w");
    await appendText(store, lease, { seq: 1, text: "1" });
    await fixture.raw().save();
    await appendText(store, lease, { seq: 2, text: "2" });
    await fixture.server().kill9();
    await fixture.server().restart();

    const end = { ...lease, outcome: SUCCEEDED, lastSeq: 2, log: EMPTY_LOG };
    expect(await store.finish(end)).toEqual({ kind: "behind", lastSeq: 1 });
    expect((await recordOf(store, lease.id)).status).toBe("running");
    await appendText(store, lease, { seq: 2, text: "2" });
    expect(await store.finish(end)).toEqual({ kind: "finished" });
    const log = await wholeLog(store, lease.id);
    expect(log.map(({ seq, kind }) => [seq, kind])).toEqual([
      [0, "attempt"],
      [1, "frames"],
      [2, "frames"],
      [3, "end"],
    ]);
  }, 20_000);

  test("a server that forgot two claims of one job takes back the later one", async () => {
    const store = await fixture.open();
    const { id } = await store.submit(newJob());
    await fixture.raw().save();
    const old = await claimJob(store, id, "w");
    await store.release(old);
    const now = await claimJob(store, id, "w");
    await fixture.server().kill9();
    await fixture.server().restart();

    expect(await store.beat({ owner: "w", held: [old, now] })).toEqual({
      cancelled: [],
      fenced: [{ id, epoch: old.epoch }],
      unfinished: [],
    });
    await appendText(store, now, { seq: 1, text: "one" });
  }, 20_000);

  test("a server that forgot a claim takes its worker back instead of running the job twice", async () => {
    const store = await fixture.open();
    const beaten = await store.submit(newJob());
    const appended = await store.submit(newJob());
    const finished = await store.submit(newJob());
    await fixture.raw().save();
    const leases = [
      await claimJob(store, beaten.id, "w"),
      await claimJob(store, appended.id, "w"),
      await claimJob(store, finished.id, "w"),
    ] as const;
    await appendText(store, leases[1], { seq: 1, text: "one" });
    await fixture.server().kill9();
    await fixture.server().restart();

    expect((await recordOf(store, beaten.id)).status).toBe("queued");
    expect(await store.beat({ owner: "w", held: [leases[0]] })).toEqual({
      cancelled: [],
      fenced: [],
      unfinished: [],
    });
    const second = { kind: "frames", frames: [frame("two")] } as const;
    expect(await store.append({ ...leases[1], seq: 2, body: second, log: EMPTY_LOG })).toEqual({
      kind: "behind",
      lastSeq: 0,
    });
    await appendText(store, leases[1], { seq: 1, text: "one" });
    expect(
      await store.finish({ ...leases[2], outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG }),
    ).toEqual({ kind: "finished" });

    expect(await claimAny(store, "other")).toBeNull();
    expect(await recordOf(store, beaten.id)).toMatchObject({
      status: "running",
      owner: "w",
      epoch: leases[0].epoch,
      epochs: [leases[0].epoch],
    });
    expect((await wholeLog(store, appended.id)).map(({ kind }) => kind)).toEqual([
      "attempt",
      "frames",
    ]);
    expect((await recordOf(store, finished.id)).status).toBe("succeeded");
  }, 20_000);

  test("an entry of more frames than a script can unpack keeps them all", async () => {
    const store = await fixture.open();
    const lease = await runningJob(store);
    for (const [index, count] of [999, 1_000, 1_001, 20_000].entries()) {
      const frames: readonly Frame[] = Array.from({ length: count }, (_, at) =>
        frame(Uint8Array.of(at % 256, 0xff), at % 3 === 0 ? "stderr" : "stdout"),
      );
      const seq = index + 1;
      expect(
        await store.append({ ...lease, seq, body: { kind: "frames", frames }, log: EMPTY_LOG }),
      ).toEqual({ kind: "stored" });
      const [entry] = await store.readLog({
        id: lease.id,
        from: { epoch: lease.epoch, seq },
        maxBytes: 1,
      });
      expect(entry).toEqual({ epoch: lease.epoch, seq, kind: "frames", frames });
    }
  });

  test("a page costs little more than itself, also where a log becomes large all of a sudden", async () => {
    const store = await fixture.open();
    const lease = await runningJob(store);
    const full = "x".repeat(ENTRY_MAX_BYTES);
    const maxBytes = 4 * FULL_ENTRY_MEMORY_BYTES;
    /** What the server sends for the page that begins at `seq`. */
    const replyBytes = async (seq: number) => {
      const sent = async () =>
        Number(/total_net_output_bytes:(\d+)/.exec(await fixture.raw().info("stats"))?.[1]);
      const [first, before] = [await sent(), await sent()];
      await store.readLog({ id: lease.id, from: { epoch: lease.epoch, seq }, maxBytes });
      // Less the answer to the last question, which is as long as that to the first.
      return (await sent()) - before - (before - first);
    };
    for (let seq = 1; seq <= 100; seq += 1) await appendText(store, lease, { seq, text: full });
    // The marker of the attempt, and then as many as it is thought to tell of.
    expect(await replyBytes(0)).toBeLessThan(6 * ENTRY_MAX_BYTES);
    for (let seq = 101; seq <= 200; seq += 1) await appendText(store, lease, { seq, text: "y" });
    for (let seq = 201; seq <= 300; seq += 1) await appendText(store, lease, { seq, text: full });
    expect(await replyBytes(101)).toBeLessThan(66 * ENTRY_MAX_BYTES);
  });

  test("Redis itself refuses an older epoch", async () => {
    const store = await fixture.open();
    const old = await runningJob(store);
    await store.release(old);
    const now = await claimJob(store, old.id);
    const forged = fixture
      .raw()
      .xadd(fixture.keys.log(old.id), `${old.epoch.toString()}-1`, "o", "late")
      .catch(String);
    expect(await forged).toContain("equal or smaller");
    expect(now.epoch).toBeGreaterThan(old.epoch);
  });
});
