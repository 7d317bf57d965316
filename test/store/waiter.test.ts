import { expect, test } from "bun:test";
import { getEventListeners } from "node:events";
import { startWaiting } from "../../src/store/waiter.ts";

/** Longer than a test may take: a wait that ends by it fails its test. */
const NEVER_MS = 60_000;

/** A started wait, and how often its `onDone` was run when `done` resolved and now. */
function watched(timeoutMs: number, signal = new AbortController().signal) {
  let calls = 0;
  const waiter = startWaiting(timeoutMs, signal, () => {
    calls += 1;
  });
  return { waiter, calls: () => calls, callsAtEnd: waiter.done.then(() => calls) };
}

test("a wait ends when it is woken, off its list before its caller goes on", async () => {
  const { waiter, calls, callsAtEnd } = watched(NEVER_MS);
  expect(calls()).toBe(0);
  waiter.wake();
  expect(calls()).toBe(1);
  expect(await callsAtEnd).toBe(1);
});

test("a wait ends when its time is over, but not before its caller has it", async () => {
  const { calls, callsAtEnd } = watched(0);
  expect(calls()).toBe(0);
  expect(await callsAtEnd).toBe(1);
});

test("a wait ends when its signal fires", async () => {
  const controller = new AbortController();
  const { callsAtEnd } = watched(NEVER_MS, controller.signal);
  controller.abort();
  expect(await callsAtEnd).toBe(1);
});

test("waking twice, or after the signal, does no harm", async () => {
  const controller = new AbortController();
  const { waiter, callsAtEnd } = watched(NEVER_MS, controller.signal);
  controller.abort();
  waiter.wake();
  waiter.wake();
  expect(await callsAtEnd).toBe(3);
});

test("a wait that is over leaves no listener on a signal that lives longer", async () => {
  const { signal } = new AbortController();
  const waits = Array.from({ length: 5 }, () => watched(NEVER_MS, signal));
  expect(getEventListeners(signal, "abort")).toHaveLength(5);
  for (const { waiter } of waits) waiter.wake();
  await Promise.all(waits.map(({ waiter }) => waiter.done));
  expect(getEventListeners(signal, "abort")).toEqual([]);
});
