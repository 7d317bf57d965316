import { Elysia } from "elysia";

import packageJson from "../../package.json" with { type: "json" };
import type { ApiPorts } from "./ports.ts";

/** The numbers of this moment. */
export function statsRoutes(ports: ApiPorts) {
  return new Elysia({ name: "stats" }).get("/stats", async () =>
    Response.json(await statsView(ports), { headers: { "Cache-Control": "no-store" } }),
  );
}

/** What the store knows is null while it does not answer. */
async function statsView({ store, storeStats, slots, streams }: ApiPorts) {
  const stats = await storeStats();
  return {
    version: packageJson.version,
    uptime_sec: Math.floor(process.uptime()),
    store: { kind: store.kind },
    queue: stats === null ? null : { ...stats.queued, oldest_wait_ms: stats.oldestQueuedAgeMs },
    running: stats?.running ?? null,
    slots: slots(),
    workers: stats?.workers ?? null,
    sse_clients: streams.count,
  };
}
