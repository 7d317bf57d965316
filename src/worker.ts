import { createProbeApi } from "./api/app.ts";
import type { ServingPorts } from "./api/ports.ts";
import { composeProbePorts, openCallers } from "./compose-api.ts";
import { composeReadiness, composeWorker, openStorage } from "./compose.ts";
import type { Config } from "./config.ts";
import { examine } from "./doctor.ts";
import {
  complain,
  exitCodeOf,
  fatalSignal,
  readCommandLine,
  stopDeadlineMs,
  stopSignal,
  untilStop,
  warnOfDangers,
} from "./entry.ts";
import { startAll } from "./lifecycle.ts";
import type { Logger } from "./logger.ts";
import { type HttpServer, serve } from "./platform/serve.ts";

const USAGE = `job-runner worker: runs the jobs that an API process with INLINE_WORKER=0 has queued.

Usage: REDIS_URL=redis://localhost:6379/0 bun run src/worker.ts [--help | doctor]

doctor says what of the sandbox works on this machine, what does not, and how to mend it.`;

async function run(config: Config, log: Logger): Promise<void> {
  const stopping = stopSignal();
  const draining = new AbortController();
  const { onFatal, failed } = fatalSignal();
  const callers = await openCallers(config, log);
  const storage = await openStorage(config, log, onFatal);
  const worker = composeWorker(config, storage, log);
  const readiness = composeReadiness(storage, { worker, draining: draining.signal });
  warnOfDangers(config, log);
  const { reasonsNotReady } = readiness;
  const ports = composeProbePorts(storage, { worker, reasonsNotReady, callers, log });
  const server = serveProbes(config, ports);
  const stopAll = await startAll([readiness.service, ...worker.services], log);
  log.info("working", `Working (store: ${storage.store.kind})`);

  await untilStop(log, stopping, failed);
  draining.abort();
  await stopAll(stopDeadlineMs(config));
  await server?.stop(0);
  await storage.store.close();
}

/** Listens where METRICS_PORT says; null where it says nothing. */
function serveProbes(config: Config, ports: ServingPorts): HttpServer | null {
  if (config.metricsPort === undefined) return null;
  const api = createProbeApi(ports);
  const server = serve({
    hostname: config.host,
    port: config.metricsPort,
    fetch: (request) => api.fetch(request),
  });
  ports.log.info("listening", `Metrics on ${server.url.href}metrics`);
  return server;
}

const start = readCommandLine(USAGE);
if ("exitCode" in start) process.exit(start.exitCode);
if (start.command === "doctor") process.exit(await examine(start.config));
if (start.config.redisUrl === undefined) {
  complain("A worker beside the API needs a store that both reach: set REDIS_URL.");
  process.exit(2);
}
process.exit(await exitCodeOf(start.config, run));
