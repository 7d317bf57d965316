import { afterEach, beforeEach, describe, expect, test } from "bun:test";

import { AppError } from "../../src/errors.ts";
import { ENTRY_MAX_FRAMES, type EntryId } from "../../src/jobs/log-entry.ts";
import { createLogHub } from "../../src/logs/hub.ts";
import type { LeaseKey, Store } from "../../src/store/store.ts";
import {
  appendText,
  EMPTY_LOG,
  eventually,
  frame,
  runningJob,
  wholeLog,
} from "../contract/store-harness.ts";
import { overridden } from "../support/overridden.ts";
import { openWorkshop, type Workshop } from "../support/workshop.ts";
import { counted, finish, idsOf, isEntry, NEVER, NEVER_MS, readUntil } from "./hub-harness.ts";

const KIB = 1024;

describe("readers that share a log", () => {
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

  test("a hundred readers cost one read of each entry", async () => {
    const { store: watched, counts } = counted(store);
    const hub = createLogHub(watched);
    const count = 30;
    const seen = Array.from({ length: 100 }, () => 0);
    let changed = Promise.withResolvers<void>();
    const readers = seen.map(async (_, index) => {
      const reader = hub.open(lease.id);
      let from = start;
      for (;;) {
        const entries = await reader.next(from, NEVER_MS, NEVER);
        if (entries === "gone") throw new Error("Gone");
        for (const entry of entries) from = { epoch: entry.epoch, seq: entry.seq + 1 };
        seen[index] = from.seq;
        changed.resolve();
        if (entries.at(-1)?.kind === "end") return reader.close();
      }
    });
    for (let seq = 1; seq <= count; seq += 1) {
      await print(seq);
      while (seen.some((position) => position <= seq)) {
        await changed.promise;
        changed = Promise.withResolvers();
      }
    }
    await finish(store, lease, count);
    await Promise.all(readers);
    expect(seen).toEqual(seen.map(() => count + 2));
    expect(counts.entries).toBe(count + 2);
    // A wait may end for nothing: then there is a read that brings nothing, and a look at the record.
    expect(counts.reads).toBeLessThanOrEqual(1.5 * (count + 2));
    expect(counts.gets).toBeLessThanOrEqual(0.5 * (count + 2));
    expect(counts.waits).toBeLessThanOrEqual(1.5 * (count + 2));
  });

  test("readers that arrive later, or come back, are served from the ring", async () => {
    const { store: watched, counts } = counted(store);
    const hub = createLogHub(watched);
    for (let seq = 1; seq <= 20; seq += 1) await print(seq, KIB);
    const first = hub.open(lease.id);
    await readUntil(first, start, isEntry({ ...start, seq: 20 }));
    const readsBefore = counts.reads;
    for (const from of [0, 1, 7, 20]) {
      const later = hub.open(lease.id);
      const entries = await later.next({ ...start, seq: from }, NEVER_MS, NEVER);
      expect(entries).toHaveLength(21 - from);
      later.close();
    }
    expect(await hub.find(lease.id, { ...start, seq: 13 })).toMatchObject({ seq: 13 });
    expect(counts.reads).toBe(readsBefore);
    first.close();
  });

  test("a reader behind the ring pages from the store until it meets the others", async () => {
    const { store: watched, counts } = counted(store);
    const hub = createLogHub(watched);
    for (let seq = 1; seq <= 40; seq += 1) await print(seq, 16 * KIB);
    const [fast, slow] = [hub.open(lease.id), hub.open(lease.id)];
    await readUntil(fast, start, isEntry({ ...start, seq: 40 }));
    const before = { ...counts };
    const caughtUp = await readUntil(slow, start, isEntry({ ...start, seq: 40 }));
    expect(idsOf(caughtUp)).toEqual(idsOf(await wholeLog(store, lease.id)));
    // Of 640 KiB, about 256 are in the ring.
    expect(counts.entries - before.entries).toBeGreaterThan(20);
    expect(counts.entries - before.entries).toBeLessThan(32);
    const both = [fast, slow].map((reader) =>
      readUntil(reader, { ...start, seq: 41 }, isEntry({ ...start, seq: 41 })),
    );
    const entriesBefore = counts.entries;
    await print(41);
    await Promise.all(both);
    expect(counts.entries - entriesBefore).toBe(1);
    for (const reader of [fast, slow]) reader.close();
  });

  test("the ring follows the reader that is furthest; one that stalled at the start loses nothing", async () => {
    const { store: watched, counts } = counted(store);
    const hub = createLogHub(watched);
    for (let seq = 1; seq <= 40; seq += 1) await print(seq, 16 * KIB);
    const stalled = hub.open(lease.id);
    const firstPage = await stalled.next(start, NEVER_MS, NEVER);
    const tail = { ...start, seq: 39 };
    const ahead = Array.from({ length: 10 }, () => hub.open(lease.id));
    const entriesBefore = counts.entries;
    const atTail = await Promise.all(
      ahead.map((reader) => readUntil(reader, tail, isEntry({ ...start, seq: 40 }))),
    );
    for (const entries of atTail) expect(entries).toHaveLength(2);
    // A page that was too far back, then the two entries: once for all ten.
    expect(counts.entries - entriesBefore).toBeLessThan(8);
    if (firstPage === "gone") throw new Error("Gone");
    const from = { ...start, seq: firstPage.length };
    const rest = await readUntil(stalled, from, isEntry({ ...start, seq: 40 }));
    expect(idsOf([...firstPage, ...rest])).toEqual(idsOf(await wholeLog(store, lease.id)));
    for (const reader of [stalled, ...ahead]) reader.close();
  });

  test("an entry of so many pieces that a page had no room for it comes with the next", async () => {
    const hub = createLogHub(store);
    const pieces = Array.from({ length: ENTRY_MAX_FRAMES }, (_, index) =>
      frame("x".repeat(60), index % 2 === 0 ? "stdout" : "stderr"),
    );
    await print(1, 60 * KIB);
    const body = { kind: "frames", frames: pieces } as const;
    await store.append({ ...lease, seq: 2, body, log: EMPTY_LOG });
    for (const seq of [3, 4]) await print(seq);
    const reader = hub.open(lease.id);
    const all = await readUntil(reader, start, isEntry({ ...start, seq: 4 }));
    expect(idsOf(all)).toEqual(idsOf(await wholeLog(store, lease.id)));
    reader.close();
  });

  test("a job that is removed while its log is watched ends the watch of all", async () => {
    const { store: watched, counts } = counted(store);
    const hub = createLogHub(watched, 20);
    await finish(store, lease, 0);
    const readers = Array.from({ length: 20 }, () => hub.open(lease.id));
    const untilGone = readers.map(async (reader) => {
      for (;;) if ((await reader.next({ ...start, seq: 2 }, NEVER_MS, NEVER)) === "gone") return;
    });
    await eventually(
      () => Promise.resolve(counts.waits),
      (waits) => waits > 2,
    );
    await store.remove(lease.id);
    await Promise.all(untilGone);
    expect(counts.gets).toBeLessThan(counts.waits + 5);
    for (const reader of readers) reader.close();
  });

  test("a quiet log gives nothing when the time is over, without a read for each that asks", async () => {
    const { store: watched, counts } = counted(store);
    const hub = createLogHub(watched);
    const readers = Array.from({ length: 50 }, () => hub.open(lease.id));
    const from = { ...start, seq: 1 };
    for (let round = 0; round < 5; round += 1)
      for (const entries of await Promise.all(readers.map((each) => each.next(from, 5, NEVER))))
        expect(entries).toEqual([]);
    expect(counts).toMatchObject({ reads: 1, gets: 1, waits: 1 });
    for (const reader of readers) reader.close();
  });

  test("with the last reader everything goes: the wait, and what was kept", async () => {
    const { store: watched, counts } = counted(store);
    const hub = createLogHub(watched);
    await print(1);
    const readers = [hub.open(lease.id), hub.open(lease.id)];
    const left = new AbortController();
    const waits = readers.map(async (reader) => {
      await readUntil(reader, start, isEntry({ ...start, seq: 1 }));
      return await reader.next({ ...start, seq: 2 }, NEVER_MS, left.signal);
    });
    await eventually(
      () => Promise.resolve(counts.pendingWaits),
      (pending) => pending === 1,
    );
    left.abort();
    expect((await Promise.all(waits)).flat()).toEqual([]);
    readers[0]?.close();
    readers[0]?.close();
    expect(counts.pendingWaits).toBe(1);
    readers[1]?.close();
    await eventually(
      () => Promise.resolve(counts.pendingWaits),
      (pending) => pending === 0,
    );
    const readsBefore = counts.reads;
    const again = hub.open(lease.id);
    expect(await again.next(start, NEVER_MS, NEVER)).toHaveLength(2);
    expect(counts.reads).toBe(readsBefore + 1);
    again.close();
  });

  test("a store that is away is asked once for all, and everybody goes on when it is back", async () => {
    let isAway = false;
    let refused = 0;
    const flaky = overridden<Store>(store, {
      readLog(request) {
        if (!isAway) return store.readLog(request);
        refused += 1;
        return Promise.reject(new AppError("store_unavailable", "away"));
      },
    });
    const hub = createLogHub(flaky, 20);
    const readers = Array.from({ length: 50 }, () => hub.open(lease.id));
    const from = { ...start, seq: 1 };
    const reading = readers.map((reader) => readUntil(reader, from, isEntry(from)));
    isAway = true;
    await eventually(
      () => Promise.resolve(refused),
      (times) => times === 2,
    );
    for (const entries of await Promise.all(readers.map((each) => each.next(from, 5, NEVER))))
      expect(entries).toEqual([]);
    expect(refused).toBe(2);
    await print(1);
    isAway = false;
    for (const entries of await Promise.all(reading))
      expect(idsOf(entries)).toEqual([`${lease.epoch}-1`]);
    for (const reader of readers) reader.close();
  });

  test("an error that is no outage reaches every reader", async () => {
    const broken = overridden<Store>(store, {
      readLog: () => Promise.reject(new Error("a bug")),
    });
    const hub = createLogHub(broken);
    const readers = [hub.open(lease.id), hub.open(lease.id)];
    const results = await Promise.allSettled(
      readers.map((reader) => reader.next(start, NEVER_MS, NEVER)),
    );
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    for (const reader of readers) reader.close();
  });
});
