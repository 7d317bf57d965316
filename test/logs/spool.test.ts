import { expect, test } from "bun:test";

import { OBJECT_BYTES } from "../../src/jobs/log-entry.ts";
import { Spool } from "../../src/logs/spool.ts";

const KIB = 1024;
const KEEP_MS = 5_000;
/** Of an entry with one frame of so many bytes. */
const memoryOf = (bytes: number) => bytes + 2 * OBJECT_BYTES;

function entry(seq: number, bytes = 1) {
  return {
    seq,
    body: { kind: "frames", frames: [{ stream: "stdout", bytes: new Uint8Array(bytes) }] },
    log: { bytes: 0, droppedBytes: 0 },
    answer: Promise.resolve(seq),
    isAhead: false,
  } as const;
}

const seqs = (entries: readonly { readonly seq: number }[] | null) =>
  entries?.map(({ seq }) => seq) ?? null;

test("answered entries are kept for so long, or 4 MiB of memory; what is under way is kept", () => {
  const spool = new Spool<number>(KEEP_MS);
  for (const seq of [1, 2, 3]) spool.add(entry(seq, 64 * KIB));
  spool.shift(0);
  spool.shift(4_999);
  expect(seqs(spool.between(0, 3))).toEqual([1, 2, 3]);
  const full = memoryOf(64 * KIB);
  expect([spool.memoryBytes, spool.underWayMemoryBytes]).toEqual([3 * full, full]);
  spool.shift(5_000);
  expect(seqs(spool.between(0, 3))).toBeNull();
  expect(seqs(spool.between(1, 3))).toEqual([2, 3]);
  for (let seq = 4; seq <= 100; seq++) {
    spool.add(entry(seq, 64 * KIB));
    spool.shift(5_000);
  }
  expect(spool.memoryBytes).toBe(63 * full);
  expect(seqs(spool.between(98, 100))).toEqual([99, 100]);
  expect(seqs(spool.between(98, 99))).toEqual([99]);
});

test("pieces weigh more than their bytes", () => {
  const spool = new Spool<number>(KEEP_MS);
  const frames = Array.from({ length: 1_000 }, (_, index) => ({
    stream: index % 2 === 0 ? ("stdout" as const) : ("stderr" as const),
    bytes: new Uint8Array(1),
  }));
  for (let seq = 1; seq <= 100; seq++) {
    spool.add({ ...entry(seq), body: { kind: "frames", frames } });
    spool.shift(0);
  }
  expect(spool.memoryBytes).toBe(32 * (1_000 + 1_001 * OBJECT_BYTES));
  expect(seqs(spool.between(68, 100))).toHaveLength(32);
  expect(spool.between(67, 100)).toBeNull();
});

test("kept for no time, an answered entry is forgotten at once", () => {
  const spool = new Spool<number>(0);
  for (const seq of [1, 2]) spool.add(entry(seq));
  spool.shift(0);
  expect([spool.memoryBytes, spool.between(0, 2)]).toEqual([memoryOf(1), null]);
  expect(seqs(spool.between(1, 2))).toEqual([2]);
});

test("what is under way can be given up", () => {
  const spool = new Spool<number>(KEEP_MS);
  for (const seq of [1, 2, 3]) spool.add(entry(seq));
  spool.shift(0);
  expect(seqs(spool.underWay)).toEqual([2, 3]);
  expect(seqs(spool.takeUnderWay())).toEqual([2, 3]);
  expect(seqs(spool.between(0, 3))).toEqual([1]);
  expect([spool.memoryBytes, spool.underWayMemoryBytes]).toEqual([memoryOf(1), 0]);
});
