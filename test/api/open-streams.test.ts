import { expect, test } from "bun:test";

import { OpenStreams } from "../../src/api/open-streams.ts";

async function* threeSteps() {
  yield 1;
  yield 2;
  yield 3;
  return "the end";
}

test("a stream counts from its first step to its end", async () => {
  const streams = new OpenStreams();
  const steps = streams.counted(threeSteps());
  expect(streams.count).toBe(0);
  await steps.next();
  const others = streams.counted(threeSteps());
  await others.next();
  expect(streams.count).toBe(2);
  expect(await Array.fromAsync(steps)).toEqual([2, 3]);
  expect(streams.count).toBe(1);
});

test("what a stream ends with is handed on", async () => {
  const steps = new OpenStreams().counted(threeSteps());
  for (let count = 0; count < 3; count += 1) await steps.next();
  expect(await steps.next()).toEqual({ done: true, value: "the end" });
});

test("one that is left, or breaks, counts no more; the source is told of the first", async () => {
  const streams = new OpenStreams();
  let told = false;
  const source = (async function* () {
    try {
      return yield* threeSteps();
    } finally {
      told = true;
    }
  })();
  const left = streams.counted(source);
  await left.next();
  await left.return("left");
  expect([streams.count, told]).toEqual([0, true]);
  const broken = streams.counted(
    (async function* () {
      yield 1;
      throw new Error("broken");
    })(),
  );
  await broken.next();
  await expect(broken.next()).rejects.toThrow("broken");
  expect(streams.count).toBe(0);
});

test("one that nobody has begun to read does not count when it is left", async () => {
  const streams = new OpenStreams();
  await streams.counted(threeSteps()).return("left");
  expect(streams.count).toBe(0);
});
