import { expect, test } from "bun:test";

import type { EntryId, LogEntry } from "../../../src/jobs/log-entry.ts";
import { RecentEntries } from "../../../src/store/sqlite/recent-entries.ts";

const KIB = 1024;
const EPOCH = 7;

const entry = (seq: number, bytes = 10, epoch = EPOCH): LogEntry => ({
  epoch,
  seq,
  kind: "frames",
  frames: [{ stream: "stdout", bytes: new Uint8Array(bytes) }],
});

const at = (seq: number, epoch = EPOCH): EntryId => ({ epoch, seq });

/** The seqs of a page. */
const read = (recent: RecentEntries, from: EntryId, maxBytes = 1e9) =>
  recent.read({ id: "a", from, maxBytes })?.map(({ seq }) => seq) ?? null;

test("a log's last entries are known, from the first of them on; of all else the file has to tell", () => {
  const recent = new RecentEntries();
  for (const seq of [4, 5, 6]) recent.add("a", entry(seq));
  expect(read(recent, at(4))).toEqual([4, 5, 6]);
  expect(read(recent, at(6))).toEqual([6]);
  // Of 10 bytes, itself and one frame each.
  expect(read(recent, at(4), 2 * 266)).toEqual([4, 5]);
  expect(read(recent, at(4), 1)).toEqual([4]);
  for (const from of [at(3), at(7), at(0, EPOCH - 1), at(0, EPOCH + 1)])
    expect(read(recent, from)).toBeNull();
  expect(recent.read({ id: "b", from: at(4), maxBytes: 1 })).toBeNull();
  expect([at(5), at(6), at(7)].map((id) => recent.isLast("a", id))).toEqual([false, true, false]);
});

test("what was sent again is there once; after a hole it begins anew", () => {
  const recent = new RecentEntries();
  for (const seq of [1, 2, 1, 2, 3]) recent.add("a", entry(seq));
  expect(read(recent, at(1))).toEqual([1, 2, 3]);
  recent.add("a", entry(5));
  expect([read(recent, at(1)), read(recent, at(5))]).toEqual([null, [5]]);
  recent.add("a", entry(1, 10, EPOCH + 1));
  expect([read(recent, at(5)), read(recent, at(1, EPOCH + 1))]).toEqual([null, [1]]);
});

test("the oldest go past 640 KiB, and all when they are to be forgotten", () => {
  const recent = new RecentEntries();
  for (let seq = 1; seq <= 100; seq++) recent.add("a", entry(seq, 64 * KIB));
  expect(read(recent, at(91))).toBeNull();
  expect(read(recent, at(92))).toEqual([92, 93, 94, 95, 96, 97, 98, 99, 100]);
  recent.add("b", entry(1));
  recent.forget("a");
  expect([read(recent, at(100)), recent.isLast("a", at(100))]).toEqual([null, false]);
  expect(recent.isLast("b", at(1))).toBe(true);
  recent.clear();
  expect(recent.isLast("b", at(1))).toBe(false);
});
