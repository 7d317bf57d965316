import { expect, test } from "bun:test";

import { Spool } from "../../src/logs/spool.ts";

const KIB = 1024;

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

test("answered entries are kept for five seconds, or 4 MiB of them; what is under way is kept", () => {
  const spool = new Spool<number>();
  for (const seq of [1, 2, 3]) spool.add(entry(seq, 64 * KIB));
  spool.shift(0);
  spool.shift(5_000);
  expect(seqs(spool.between(0, 3))).toEqual([1, 2, 3]);
  expect([spool.bytes, spool.underWayBytes]).toEqual([192 * KIB, 64 * KIB]);
  spool.shift(5_001);
  expect(seqs(spool.between(0, 3))).toBeNull();
  expect(seqs(spool.between(1, 3))).toEqual([2, 3]);
  for (let seq = 4; seq <= 100; seq++) {
    spool.add(entry(seq, 64 * KIB));
    spool.shift(5_001);
  }
  expect(spool.bytes).toBe(4096 * KIB);
  expect(seqs(spool.between(98, 100))).toEqual([99, 100]);
  expect(seqs(spool.between(98, 99))).toEqual([99]);
});

test("what is under way can be given up", () => {
  const spool = new Spool<number>();
  for (const seq of [1, 2, 3]) spool.add(entry(seq));
  spool.shift(0);
  expect(seqs(spool.underWay)).toEqual([2, 3]);
  expect(seqs(spool.takeUnderWay())).toEqual([2, 3]);
  expect(seqs(spool.between(0, 3))).toEqual([1]);
  expect([spool.bytes, spool.underWayBytes]).toEqual([1, 0]);
});
