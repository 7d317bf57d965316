import { describe, expect, test } from "bun:test";

import type { Kind, Spare } from "../../src/sandbox/warm-kind.ts";
import { Kinds } from "../../src/sandbox/warm-kinds.ts";
import { UNUSED_GUEST } from "../support/pools.ts";

/** Kinds that were asked for one after the other, in this order, each with so many that wait and are to. */
function kindsWith(...counts: readonly number[]) {
  const gone: Spare[] = [];
  const kinds = new Kinds((spare) => gone.push(spare));
  const found = counts.map((count, at) => {
    const kind = kinds.find({ mounts: [], diskBytes: at + 1 }, undefined);
    kind.usedAtMs = at + 1;
    kind.wanted = count;
    for (let n = 0; n < count; n += 1) kind.spares.push({ guest: UNUSED_GUEST, bytes: 10 });
    return kind;
  });
  return { kinds, found, gone };
}

const sparesOf = (found: readonly Kind[]) => found.map(({ spares }) => spares.length);

test("a kind is what its setup and its interpreter are", () => {
  const { kinds, found } = kindsWith(1, 2);
  expect(kinds.find({ mounts: [], diskBytes: 2 }, undefined)).toBe(found[1]!);
  const interpreter = { argv: ["/bin/sh"], env: {} };
  expect(kinds.find({ mounts: [], diskBytes: 2 }, interpreter).spares).toEqual([]);
  expect(kinds.waiting()).toEqual({ count: 3, bytes: 30, wanted: 3 });
});

test("of those that lack one, the one that was asked for last is next, and none before it is due", () => {
  const { kinds, found } = kindsWith(0, 0, 0);
  expect(kinds.lacking(new Set())).toBeUndefined();
  for (const kind of found) kind.wanted = 1;
  expect(kinds.lacking(new Set())).toBe(found[2]);
  found[2]!.retryAtMs = Number.POSITIVE_INFINITY;
  expect(kinds.lacking(new Set())).toBe(found[1]);
  expect(kinds.lacking(new Set([found[1]!]))).toBe(found[0]);
});

describe("room for one more", () => {
  test("is made by those that were asked for the longest ago, and only as much as it takes", () => {
    const { kinds, found, gone } = kindsWith(1, 2, 0, 1);
    const [first, second, newcomer] = found;
    newcomer!.typicalBytes = 15;
    expect(kinds.makeRoomFor(newcomer!, { maxBytes: 55, maxWaiting: 5 })).toEqual([]);
    expect(kinds.makeRoomFor(newcomer!, { maxBytes: 35, maxWaiting: 5 })).toEqual([
      first!,
      second!,
    ]);
    expect([sparesOf(found), gone.length]).toEqual([[0, 1, 0, 1], 2]);
    expect(kinds.makeRoomFor(newcomer!, { maxBytes: 55, maxWaiting: 2 })).toEqual([second!]);
    expect(sparesOf(found)).toEqual([0, 0, 0, 1]);
  });

  test.each([
    ["memory", { maxBytes: 24, maxWaiting: 9 }],
    ["places", { maxBytes: 99, maxWaiting: 1 }],
  ])("is not made where there would not be enough: all stay (%s)", (_what, room) => {
    const { kinds, found, gone } = kindsWith(1, 2, 0, 1);
    found[2]!.typicalBytes = 15;
    expect(kinds.makeRoomFor(found[2]!, room)).toBeNull();
    expect([sparesOf(found), gone]).toEqual([[1, 2, 0, 1], []]);
    expect(kinds.waiting().wanted).toBe(4);
  });
});

test("what nobody has asked for in a while is forgotten, and so is all at the end", () => {
  const { kinds, found, gone } = kindsWith(1, 1);
  found[0]!.usedAtMs = performance.now() - 60_001;
  found[1]!.usedAtMs = performance.now();
  kinds.review(60_000);
  expect([found[0]!.isForgotten, found[1]!.isForgotten, gone.length]).toEqual([true, false, 1]);
  kinds.forgetAll();
  expect([found[1]!.isForgotten, gone.length]).toEqual([true, 2]);
  expect(kinds.waiting()).toEqual({ count: 0, bytes: 0, wanted: 0 });
});

test("of more kinds than are remembered, the one that was asked for the longest ago is forgotten", () => {
  const { kinds, found } = kindsWith(1, 1);
  for (let disk = 1; disk <= 199; disk += 1)
    kinds.find({ mounts: [], diskBytes: 1000 + disk }, undefined);
  expect([found[0]!.isForgotten, found[1]!.isForgotten]).toEqual([true, false]);
  expect(kinds.waiting().count).toBe(1);
});
