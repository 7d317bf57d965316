import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";

import { compareEntryIds, type EntryId, type LogEntry } from "../../src/jobs/log-entry.ts";
import { createLogHub, type LogHub, type LogReader } from "../../src/logs/hub.ts";
import type { LeaseKey, Store } from "../../src/store/store.ts";
import {
  appendText,
  claimJob,
  eventually,
  newJob,
  runningJob,
  wholeLog,
} from "../contract/store-harness.ts";
import { createRandom } from "../faults/random.ts";
import { redisFixture } from "../store/redis/redis-fixture.ts";
import { overridden } from "../support/overridden.ts";
import { hasRedisServer } from "../support/redis-server.ts";
import { openWorkshop, type Workshop } from "../support/workshop.ts";
import { finish, idsOf, isEntry, NEVER, NEVER_MS, readToEnd, readUntil } from "./hub-harness.ts";

describe("what the readers of a shared log get", () => {
  let workshop: Workshop;
  let store: Store;
  let lease: LeaseKey;
  let start: EntryId;
  beforeEach(async () => {
    workshop = await openWorkshop();
    ({ store } = workshop);
    lease = await runningJob(store);
    start = { epoch: lease.epoch, seq: 0 };
  });
  afterEach(() => workshop.close());

  const print = (seq: number, bytes = 10) =>
    appendText(store, lease, { seq, text: "x".repeat(bytes) });

  test("what is appended while somebody reads is neither skipped nor repeated, over several attempts", async () => {
    const random = createRandom(Math.floor(Math.random() * 2 ** 32));
    const late = overridden<Store>(store, {
      async readLog(request) {
        await delay(random.int(0, 3));
        const entries = await store.readLog(request);
        await delay(random.int(0, 3));
        return entries;
      },
    });
    const hub = createLogHub(late);
    const reads: Promise<LogEntry[]>[] = [];
    const starts: EntryId[] = [];
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      for (let seq = 1; seq <= 40; seq += 1) {
        await print(seq, random.pick([1, 100, 5_000, 40_000]));
        if (random.next() < 0.5) continue;
        const from = random.pick([start, { epoch: lease.epoch, seq: random.int(0, seq + 1) }]);
        starts.push(from);
        reads.push(readToEnd(hub, lease.id, from));
      }
      if (attempt === 3) break;
      await store.release(lease);
      lease = await claimJob(store, lease.id);
    }
    await finish(store, lease, 40);
    const whole = await wholeLog(store, lease.id);
    expect(whole).toHaveLength(3 * 41 + 1);
    for (const [index, entries] of (await Promise.all(reads)).entries()) {
      const from = starts[index] ?? start;
      expect(idsOf(entries)).toEqual(
        idsOf(whole.filter((entry) => compareEntryIds(entry, from) >= 0)),
      );
    }
  });

  test("a reader that comes in the very moment of the end gets it, once", async () => {
    for (let round = 0; round < 50; round += 1) {
      const hub = createLogHub(store);
      const own = round === 0 ? lease : await runningJob(store);
      const from = { epoch: own.epoch, seq: 0 };
      const before = readToEnd(hub, own.id, from);
      const ending = finish(store, own, 0);
      const [early, late] = await Promise.all([before, readToEnd(hub, own.id, from), ending]);
      for (const entries of [early, late])
        expect(entries.map(({ kind }) => kind)).toEqual(["attempt", "end"]);
    }
  });

  test("with a signal that has fired, none means that all is read", async () => {
    const hub = createLogHub(store);
    const stop = new AbortController();
    const reader = hub.open(lease.id);
    const from = { ...start, seq: 1 };
    const waiting = reader.next(from, NEVER_MS, stop.signal);
    expect(await reader.next(from, 1, NEVER)).toEqual([]);
    const printing = print(1);
    stop.abort();
    const first = await waiting;
    await printing;
    const rest = await reader.next(from, NEVER_MS, stop.signal);
    expect([first, rest].flat()).toMatchObject([{ seq: 1 }]);
    expect(await reader.next({ ...start, seq: 2 }, NEVER_MS, stop.signal)).toEqual([]);
    reader.close();
  });
});

describe.skipIf(!hasRedisServer())(
  "the hub on a Redis that comes back without its last entries",
  () => {
    const redis = redisFixture();

    /** A job with entries 0..4, of which the server forgets 3 and 4 once `read` is done. */
    async function lostTail(read: (hub: LogHub, lease: LeaseKey) => Promise<void>) {
      const store = await redis.open();
      const { id } = await store.submit(newJob());
      const lease = await claimJob(store, id);
      const print = (seq: number) => appendText(store, lease, { seq, text: `entry ${seq}\n` });
      for (const seq of [1, 2]) await print(seq);
      await redis.raw().save();
      for (const seq of [3, 4]) await print(seq);
      const hub = createLogHub(store);
      await read(hub, lease);
      await redis.server().kill9();
      await redis.server().restart();
      await eventually(
        async () => (await store.lastEntryId(id).catch(() => null))?.seq,
        (seq) => seq === 2,
      );
      return { store, hub, lease, print };
    }

    test("readers near the end and readers behind see every entry once when the worker sends them again", async () => {
      const readers: LogReader[] = [];
      const { store, hub, lease, print } = await lostTail(async (opened, { id, epoch }) => {
        const reader = opened.open(id);
        readers.push(reader);
        await readUntil(reader, { epoch, seq: 3 }, isEntry({ epoch, seq: 4 }));
      });
      const { id, epoch } = lease;
      // At the end of a ring that begins at 3; at a position that is lost now, before the ring; at the very start.
      const reading = [5, 3, 2, 0].map((seq) => readToEnd(hub, id, { epoch, seq }));
      for (const seq of [3, 4, 5]) await print(seq);
      await finish(store, lease, 5);
      const found = await Promise.all(reading);
      expect(found.map((entries) => entries.map(({ seq }) => seq))).toEqual([
        [5, 6],
        [3, 4, 5, 6],
        [2, 3, 4, 5, 6],
        [0, 1, 2, 3, 4, 5, 6],
      ]);
      const whole = await wholeLog(store, id);
      expect(found[3]).toEqual([...whole]);
      for (const reader of readers) reader.close();
    });

    test("where the worker died with it the next attempt follows, for readers of the lost entries too", async () => {
      const readers: LogReader[] = [];
      const { store, hub, lease } = await lostTail(async (opened, { id, epoch }) => {
        const reader = opened.open(id);
        readers.push(reader);
        await readUntil(reader, { epoch, seq: 3 }, isEntry({ epoch, seq: 4 }));
      });
      const { id, epoch } = lease;
      const reading = [5, 3, 2].map((seq) => readToEnd(hub, id, { epoch, seq }));
      await store.releaseOwner(lease.owner);
      const next = await claimJob(store, id, "worker-2");
      await appendText(store, next, { seq: 1, text: "again\n" });
      await finish(store, next, 1);
      const found = await Promise.all(reading);
      const second = [0, 1, 2].map((seq) => `${next.epoch}-${seq}`);
      expect(found.map(idsOf)).toEqual([
        second,
        [`${epoch}-3`, `${epoch}-4`, ...second],
        // Read while there was no other attempt: where the store's log ends, the ring goes on.
        [`${epoch}-2`, `${epoch}-3`, `${epoch}-4`, ...second],
      ]);
      for (const reader of readers) reader.close();
    });
  },
);
