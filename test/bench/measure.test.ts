import { expect, test } from "bun:test";

import {
  closedLoop,
  measure,
  median,
  perSecond,
  quantile,
  sumOf,
  timed,
} from "../../bench/measure.ts";

test("a quantile is a value that was measured, whatever the order", () => {
  const values = [30, 10, 20, 40, 100];
  expect(median(values)).toBe(30);
  expect(quantile(values, 0)).toBe(10);
  expect(quantile(values, 0.99)).toBe(100);
  expect(quantile(values, 1)).toBe(100);
  expect(quantile([], 0.5)).toBeNaN();
});

test("subjects take turns, and rounds that warm up are not counted", async () => {
  const order: string[] = [];
  const subject = (name: string, ms: number) => async () => {
    order.push(name);
    return await Promise.resolve({ [name]: ms });
  };
  const results = await measure({ rounds: 2, warmUpRounds: 1 }, [subject("a", 1), subject("b", 2)]);
  expect(order).toEqual(["a", "b", "a", "b", "a", "b"]);
  expect(results).toEqual({ a: [1, 1], b: [2, 2] });
});

test("with a pace, no subject begins before its slot", async () => {
  const slotMs = 20;
  const beganMs: number[] = [];
  const subject = timed("a", async () => {
    beganMs.push(performance.now());
    await Promise.resolve();
  });
  const startMs = performance.now();
  await measure({ rounds: 3, warmUpRounds: 0, slotMs }, [subject]);
  for (const [slot, ms] of beganMs.entries())
    expect(ms - startMs).toBeGreaterThanOrEqual(slot * slotMs);
});

test("a closed loop keeps each client busy, and ends when the last run has", async () => {
  const runs: number[] = [];
  const loop = await closedLoop({ clients: 3, durationMs: 30 }, async (client) => {
    runs.push(client);
    await Bun.sleep(10);
  });
  expect(new Set(runs)).toEqual(new Set([0, 1, 2]));
  expect(loop.count).toBe(runs.length);
  expect(loop.timesMs).toHaveLength(runs.length);
  expect(loop.elapsedMs).toBeGreaterThanOrEqual(Math.max(...loop.timesMs));
});

test("several loops are one with the sum of their runs and times", () => {
  const loop = sumOf([
    { count: 2, elapsedMs: 300, timesMs: [1, 2] },
    { count: 1, elapsedMs: 200, timesMs: [3] },
  ]);
  expect(loop).toEqual({ count: 3, elapsedMs: 500, timesMs: [1, 2, 3] });
  expect(perSecond(loop)).toBe(6);
});
