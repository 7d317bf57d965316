import type { Guest, Sandbox } from "../sandbox/sandbox.ts";
import { Gauge, type Registry } from "prom-client";

import type { Metrics } from "./metrics.ts";

/** The sandbox with the time measured that a claimed job takes to start, and that its program runs. */
export function withSandboxMetrics(
  sandbox: Sandbox,
  { runs, startSec, runSec }: Pick<Metrics, "runs" | "startSec" | "runSec">,
): Sandbox {
  const observeEnd = async (guest: Guest, startedAtMs: number) => {
    // A sandbox that broke does not know when the program ended.
    if ((await guest.exited) !== null) runSec.observe((performance.now() - startedAtMs) / 1000);
  };
  return {
    selfTest: () => sandbox.selfTest(),
    async start(request) {
      const guest = await sandbox.start(request);
      const startedAtMs = performance.now();
      const sinceClaimMs = runs.sinceClaimMs(request.slot);
      if (sinceClaimMs !== null) startSec.observe(sinceClaimMs / 1000);
      observeEnd(guest, startedAtMs).catch(() => undefined);
      return guest;
    },
  };
}

/** Shows what waits for a job, at the time of each scrape. */
export function addPoolMetrics(
  registry: Registry,
  waiting: () => { readonly count: number; readonly bytes: number; readonly wanted: number },
): void {
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name: `jobrunner_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  gauge("waiting_sandboxes", "Sandboxes that wait for a job.", () => waiting().count);
  gauge("wanted_sandboxes", "Sandboxes that are to wait for a job.", () => waiting().wanted);
  gauge(
    "waiting_sandboxes_bytes",
    "Memory of the sandboxes that wait for a job.",
    () => waiting().bytes,
  );
}
