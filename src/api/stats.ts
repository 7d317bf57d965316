import { Elysia } from "elysia";

import packageJson from "../../package.json" with { type: "json" };
import type { StoreStats } from "../store/store.ts";
import type { ApiPorts } from "./ports.ts";
import { NoQuery } from "./request-schemas.ts";

/** The numbers of this moment. */
export function statsRoutes(ports: ApiPorts) {
  const headers = { "Cache-Control": "no-store" };
  return new Elysia({ name: "stats" }).get(
    "/stats",
    async () => Response.json(await statsView(ports), { headers }),
    { query: NoQuery },
  );
}

/** What the store knows is null while it does not answer. */
async function statsView({ store, storeStats, slots, streams }: ApiPorts) {
  const stats = await storeStats();
  return {
    version: packageJson.version,
    uptime_sec: Math.floor(process.uptime()),
    store: { kind: store.kind },
    ...(stats === null ? UNKNOWN_JOBS : jobsView(stats)),
    slots: slots(),
    workers: stats?.workers ?? null,
    sse_clients: streams.count,
  };
}

const UNKNOWN_JOBS = { queue: null, running: null, unfinished: null };

function jobsView({ queued, oldestQueuedAgeMs, running }: StoreStats) {
  const total = queued.high + queued.normal + queued.low;
  return {
    queue: { ...queued, total, oldest_wait_ms: oldestQueuedAgeMs },
    running,
    // One number for who scales workers: those that run a job are needed as much as those that wait for one.
    unfinished: total + running,
  };
}
