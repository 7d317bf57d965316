import { expect, test } from "bun:test";

import { createQuiet } from "../../src/sandbox/quiet.ts";

test("is told of once things have stopped happening, and again after the next", async () => {
  let told = Promise.withResolvers<void>();
  let times = 0;
  const quiet = createQuiet(() => {
    times += 1;
    told.resolve();
  });
  expect(quiet.isQuiet()).toBe(true);
  quiet.disturb(5);
  quiet.disturb(30);
  quiet.disturb(1);
  const startMs = performance.now();
  expect(quiet.isQuiet()).toBe(false);
  await told.promise;
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(29);
  expect(quiet.isQuiet()).toBe(true);
  expect(times).toBe(1);
  told = Promise.withResolvers<void>();
  quiet.disturb(0);
  await told.promise;
  expect(times).toBe(2);
});

test("never comes once it is stopped", async () => {
  const later = Promise.withResolvers<void>();
  const stopped = createQuiet(() => later.reject(new Error("It was told of")));
  stopped.disturb(1);
  stopped.stop();
  stopped.disturb(1);
  expect(stopped.isQuiet()).toBe(false);
  const other = createQuiet(later.resolve);
  other.disturb(5);
  await later.promise;
});
