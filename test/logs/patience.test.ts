import { expect, test } from "bun:test";
import { getEventListeners } from "node:events";

import { Patience } from "../../src/logs/patience.ts";

/** Longer than a test may take: a wait that ends by it fails its test. */
const NEVER_MS = 60_000;

test("a wait ends when it is woken, when its time is over, and when its signal fires", async () => {
  const patience = new Patience();
  const controller = new AbortController();
  for (let round = 0; round < 3; round++) {
    const woken = patience.wait(NEVER_MS, controller.signal);
    patience.wake();
    await woken;
    const startMs = performance.now();
    await patience.wait(10, controller.signal);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(8);
  }
  const aborted = patience.wait(NEVER_MS, controller.signal);
  controller.abort();
  await aborted;
  await patience.wait(NEVER_MS, controller.signal);
  patience.close();
});

test("a wait has its own time, whatever was left of the one before", async () => {
  const patience = new Patience();
  const { signal } = new AbortController();
  const short = patience.wait(10, signal);
  patience.wake();
  await short;
  const startMs = performance.now();
  await patience.wait(60, signal);
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(55);
  patience.close();
});

test("a wake-up that nobody waits for is forgotten", async () => {
  const patience = new Patience();
  const { signal } = new AbortController();
  patience.wake();
  const startMs = performance.now();
  await patience.wait(20, signal);
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(18);
  patience.close();
});

test("it listens once to a signal, to the newest alone, and to none once closed", async () => {
  const patience = new Patience();
  const signals = [new AbortController().signal, new AbortController().signal];
  const listeners = () => signals.map((signal) => getEventListeners(signal, "abort").length);
  for (const [index, signal] of signals.entries()) {
    for (let round = 0; round < 3; round++) await patience.wait(1, signal);
    expect(listeners()).toEqual(index === 0 ? [1, 0] : [0, 1]);
  }
  patience.close();
  expect(listeners()).toEqual([0, 0]);
});
