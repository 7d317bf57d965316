import { expect, test } from "bun:test";

import { MIB } from "../../src/jobs/limits.ts";
import { createRecentEnds } from "../../src/runner/recent-ends.ts";

const UNSAFE_MS = 5_000;
const claim = (id: string) => ({ id, epoch: 7 });
const failOnError = (error: unknown) => {
  throw error;
};

function countedEnd(keptBytes = 0) {
  const calls: PromiseWithResolvers<void>[] = [];
  const finishAgain = () => {
    const call = Promise.withResolvers<void>();
    calls.push(call);
    return call.promise;
  };
  return { end: { finishAgain, keptBytes }, calls };
}

test("an end is asked about for as long as the store may lose it, then forgotten", () => {
  const recent = createRecentEnds(UNSAFE_MS, failOnError);
  const { end } = countedEnd();
  recent.add(claim("a"), end);
  recent.settle(performance.now(), []);
  expect(recent.claims()).toEqual([claim("a")]);
  recent.settle(performance.now() + 5_001, []);
  expect(recent.claims()).toEqual([]);
});

test("where the store loses nothing an end is asked about once at most", async () => {
  const recent = createRecentEnds(0, failOnError);
  recent.add(claim("a"), countedEnd().end);
  await Bun.sleep(1);
  recent.settle(performance.now(), []);
  expect(recent.claims()).toEqual([]);
});

test("an end that the store has forgotten is made again, once at a time, and kept for as long again", async () => {
  const recent = createRecentEnds(UNSAFE_MS, failOnError);
  const { end, calls } = countedEnd();
  recent.add(claim("a"), end);
  recent.settle(performance.now(), [claim("a"), { id: "a", epoch: 6 }]);
  recent.settle(performance.now() + 60_000, [claim("a")]);
  expect(calls).toHaveLength(1);
  calls[0]?.resolve();
  await Bun.sleep(0);
  recent.settle(performance.now() + 2_000, []);
  expect(recent.claims()).toEqual([claim("a")]);
  recent.settle(performance.now() + 6_000, [claim("a")]);
  expect(calls).toHaveLength(2);
});

test("an end that cannot be made again is reported, and asked about again", async () => {
  const errors: unknown[] = [];
  const recent = createRecentEnds(UNSAFE_MS, (error) => errors.push(error));
  const { end, calls } = countedEnd();
  recent.add(claim("a"), end);
  recent.settle(performance.now(), [claim("a")]);
  calls[0]?.reject(new Error("away"));
  await Bun.sleep(0);
  recent.settle(performance.now(), [claim("a")]);
  expect([errors.map(String), calls.length]).toEqual([["Error: away"], 2]);
});

test("what is kept is bounded in number and bytes; the oldest goes first", () => {
  const many = createRecentEnds(UNSAFE_MS, failOnError);
  for (let index = 0; index < 1_001; index += 1) many.add(claim(String(index)), countedEnd().end);
  expect([many.claims().length, many.claims()[0]?.id]).toEqual([1_000, "1"]);
  const large = createRecentEnds(UNSAFE_MS, failOnError);
  for (const id of ["a", "b", "c"]) large.add(claim(id), countedEnd(12 * MIB).end);
  expect(large.claims().map(({ id }) => id)).toEqual(["b", "c"]);
});
