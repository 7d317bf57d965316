import { expect, test } from "bun:test";

import { orNull } from "../../src/lifecycle.ts";
import { createMetrics } from "../../src/metrics/metrics.ts";
import { scrape, type ScrapeParts } from "../../src/metrics/scrape.ts";
import { Scrape } from "../support/prometheus-text.ts";

const STATS = {
  queued: { high: 1, normal: 2, low: 3 },
  oldestQueuedAgeMs: 1_500,
  running: 4,
  workers: { count: 2, slots: 8 },
};

async function scraped(parts: Partial<ScrapeParts>): Promise<Scrape> {
  const text = await scrape({
    registry: createMetrics().registry,
    storeStats: () => Promise.resolve(STATS),
    slots: () => ({ total: 5, busy: 3 }),
    sseClients: () => 6,
    ...parts,
  });
  return new Scrape(text);
}

const STORE_GAUGES = ["queue_depth", "oldest_queued_seconds", "leases", "workers", "worker_slots"];

test("the gauges are those of the moment", async () => {
  const seen = await scraped({});
  expect(seen.nonZero("jobrunner_queue_depth")).toEqual({ high: 1, normal: 2, low: 3 });
  for (const [name, value] of [
    ["oldest_queued_seconds", 1.5],
    ["leases", 4],
    ["workers", 2],
    ["worker_slots", 8],
    ["slots", 5],
    ["slots_busy", 3],
    ["sse_clients", 6],
  ] as const)
    expect([name, seen.sum(`jobrunner_${name}`)]).toEqual([name, value]);
});

test("where nothing waits the oldest wait is 0", async () => {
  const storeStats = () => Promise.resolve({ ...STATS, oldestQueuedAgeMs: null });
  const seen = await scraped({ storeStats });
  expect(seen.has("jobrunner_oldest_queued_seconds")).toBe(true);
  expect(seen.sum("jobrunner_oldest_queued_seconds")).toBe(0);
});

test("a store that hangs or fails leaves its gauges out, and nothing else", async () => {
  for (const stats of [
    () => new Promise<never>(() => undefined),
    () => Promise.reject(new Error("away")),
  ]) {
    const seen = await scraped({ storeStats: () => orNull(stats(), 20) });
    for (const name of STORE_GAUGES) expect(seen.has(`jobrunner_${name}`)).toBe(false);
    expect(seen.sum("jobrunner_slots")).toBe(5);
    expect(seen.has("jobrunner_job_run_seconds")).toBe(true);
  }
});

test("what a process has not is left out", async () => {
  const seen = await scraped({ slots: () => null, sseClients: () => null });
  for (const name of ["slots", "slots_busy", "sse_clients"])
    expect(seen.has(`jobrunner_${name}`)).toBe(false);
  expect(seen.sum("jobrunner_leases")).toBe(4);
});

test("the process tells its CPU time, memory and start", async () => {
  const seen = await scraped({});
  expect(seen.sum("process_cpu_seconds_total")).toBeGreaterThan(0);
  expect(seen.sum("process_resident_memory_bytes")).toBeGreaterThan(1_000_000);
  const startedSecAgo = Date.now() / 1000 - seen.sum("process_start_time_seconds");
  expect(Math.abs(startedSecAgo - process.uptime())).toBeLessThan(2);
});
