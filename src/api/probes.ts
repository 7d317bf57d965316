import { Elysia } from "elysia";

import type { ServingPorts } from "./ports.ts";

/** https://prometheus.io/docs/instrumenting/exposition_formats/#basic-info */
const PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8";

/** What a process tells whoever watches it; a worker serves these alone. */
export function probeRoutes(ports: ServingPorts) {
  return new Elysia({ name: "probes" })
    .get("/livez", () => Response.json({ status: "ok" }))
    .get("/readyz", () => readiness(ports))
    .get("/metrics", async () => {
      const headers = { "Content-Type": PROMETHEUS_TEXT, "Cache-Control": "no-store" };
      return new Response(await ports.metrics(), { headers });
    });
}

function readiness({ reasonsNotReady }: ServingPorts): Response {
  const reasons = reasonsNotReady();
  const isReady = reasons.length === 0;
  const status = isReady ? "ready" : "not_ready";
  return Response.json({ status, reasons }, { status: isReady ? 200 : 503 });
}
