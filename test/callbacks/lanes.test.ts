import { expect, test } from "bun:test";

import { Lanes } from "../../src/callbacks/lanes.ts";

/** Enters as often as there is room, up to a thousand times. */
function fill(lanes: Lanes, lane: (count: number) => Parameters<Lanes["tryEnter"]>[0]) {
  const leaves: NonNullable<ReturnType<Lanes["tryEnter"]>>[] = [];
  for (let count = 0; count < 1_000; count += 1) {
    const leave = lanes.tryEnter(lane(count));
    if (leave === null) break;
    leaves.push(leave);
  }
  return leaves;
}

test("a receiver takes its own places, a key its own, and all together those that there are", () => {
  const lanes = new Lanes();
  expect(fill(lanes, () => ({ origin: "https://a.test", keyId: "first" }))).toHaveLength(32);
  expect(
    fill(lanes, (count) => ({ origin: `https://${count}.test`, keyId: "first" })),
  ).toHaveLength(32);
  expect(fill(lanes, (count) => ({ origin: `https://${count}.test`, keyId: null }))).toHaveLength(
    64,
  );
  const others = fill(lanes, (count) => ({
    origin: `https://${count}.test`,
    keyId: `other ${count}`,
  }));
  expect(others).toHaveLength(128);
});

test("a place that was left is free again", () => {
  const lanes = new Lanes();
  const lane = { origin: "https://a.test", keyId: null };
  const leaves = fill(lanes, () => lane);
  expect(lanes.tryEnter(lane)).toBeNull();
  leaves[0]?.(true);
  expect(fill(lanes, () => lane)).toHaveLength(1);
});

test("a receiver that does not answer is tried one at a time, until it does", () => {
  const lanes = new Lanes();
  const lane = { origin: "https://a.test", keyId: null };
  lanes.tryEnter(lane)?.(false);
  expect(lanes.isSilent(lane)).toBe(true);
  expect(lanes.isSilent({ ...lane, origin: "https://b.test" })).toBe(false);
  // Another key's receiver may well be on the same host.
  expect(lanes.isSilent({ ...lane, keyId: "other" })).toBe(false);
  expect(fill(lanes, () => ({ ...lane, keyId: "other" }))).toHaveLength(32);
  const [leave, ...more] = fill(lanes, () => lane);
  expect(more).toEqual([]);
  leave?.(true);
  expect(lanes.isSilent(lane)).toBe(false);
  expect(fill(lanes, () => lane)).toHaveLength(32);
});
