import { Gauge, Registry } from "prom-client";

import type { StoreStats } from "../store/store.ts";

/** What is read anew for each scrape; null for what this process has not, or does not know now. */
export interface ScrapeParts {
  readonly registry: Registry;
  readonly storeStats: () => Promise<StoreStats | null>;
  readonly slots: () => { readonly total: number; readonly busy: number } | null;
  readonly sseClients: () => number | null;
}

/**
 * Prometheus' text format, version 0.0.4: the counters of this process, and gauges of this moment. A store that does not
 * answer leaves its gauges out: a number that may be wrong must not look right.
 */
export async function scrape(parts: ScrapeParts): Promise<string> {
  const now = new Registry();
  const gauge = <Label extends string = never>(
    name: string,
    help: string,
    labelNames: readonly Label[] = [],
  ) => new Gauge({ name: `jobrunner_${name}`, help, labelNames, registers: [now] });
  const stats = await parts.storeStats();
  if (stats !== null) {
    const depth = gauge("queue_depth", "Jobs that wait, by priority.", ["priority"]);
    for (const [priority, jobs] of Object.entries(stats.queued)) depth.set({ priority }, jobs);
    const oldestSec = (stats.oldestQueuedAgeMs ?? 0) / 1000;
    gauge("oldest_queued_seconds", "Wait so far of the longest waiting job; 0: none.").set(
      oldestSec,
    );
    gauge("leases", "Jobs that run, on all workers.").set(stats.running);
    gauge("workers", "Workers heard of in the last two minutes.").set(stats.workers.count);
    gauge("worker_slots", "Their slots together.").set(stats.workers.slots);
  }
  const slots = parts.slots();
  if (slots !== null) {
    gauge("slots", "Jobs that this process can run at once.").set(slots.total);
    gauge("slots_busy", "Jobs that this process runs.").set(slots.busy);
  }
  const sseClients = parts.sseClients();
  if (sseClients !== null) gauge("sse_clients", "Log streams that are open.").set(sseClients);
  return (await now.metrics()) + (await parts.registry.metrics());
}
