import { expect, test } from "bun:test";

import { Kind } from "../../src/sandbox/warm-kind.ts";
import { UNUSED_GUEST } from "../support/pools.ts";

function kindOf(spares: number): Kind {
  const kind = new Kind({ mounts: [], diskBytes: 1 }, undefined);
  kind.wanted = spares;
  for (let n = 0; n < spares; n += 1) kind.spares.push({ guest: UNUSED_GUEST, bytes: n });
  return kind;
}

test("the one that has waited longest is taken", () => {
  const kind = kindOf(2);
  expect([kind.take()?.bytes, kind.take()?.bytes, kind.take()]).toEqual([0, 1, undefined]);
});

test("those that nobody needed since the last look go, and one stays", () => {
  const kind = kindOf(4);
  expect(kind.review().map(({ bytes }) => bytes)).toEqual([1, 2, 3]);
  expect([kind.wanted, kind.spares.length]).toEqual([1, 1]);
  expect(kind.review()).toEqual([]);
  expect(kind.wanted).toBe(1);
});

test("of those that came to be needed, however briefly, none goes", () => {
  const kind = kindOf(4);
  const taken = [kind.take(), kind.take(), kind.take()];
  for (const spare of taken) if (spare !== undefined) kind.spares.push(spare);
  // One of the four was left at the worst time.
  expect(kind.review()).toHaveLength(1);
  expect([kind.wanted, kind.spares.length]).toEqual([3, 3]);
  expect(kind.review()).toHaveLength(2);
});

test("each job that found none raises what is wanted, up to one for each slot", () => {
  const kind = kindOf(1);
  for (let job = 0; job < 3; job += 1) kind.wantMore(3);
  expect(kind.wanted).toBe(3);
  for (let other = 0; other < 4; other += 1) kind.wantFewer();
  expect(kind.wanted).toBe(0);
});

test("of what is not wanted, none is wanted for being looked at", () => {
  const kind = kindOf(0);
  expect(kind.review()).toEqual([]);
  expect(kind.wanted).toBe(0);
});

test("what is forgotten gives up all", () => {
  const kind = kindOf(2);
  expect(kind.forget()).toHaveLength(2);
  expect([kind.isForgotten, kind.take()]).toEqual([true, undefined]);
});
