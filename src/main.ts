import { createApi } from "./api/app.ts";
import { composeApiPorts, composeCallbacks, openCallers } from "./compose-api.ts";
import { composeReadiness, composeReaper, composeWorker, openStorage } from "./compose.ts";
import type { Config } from "./config.ts";
import { examine } from "./doctor.ts";
import {
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
import { serve } from "./platform/serve.ts";

const USAGE = `job-runner: runs code in a sandbox and streams what it prints.

Usage: bun run src/main.ts [--help | doctor]

doctor says what of the sandbox works on this machine, what does not, and how to mend it.`;

async function run(config: Config, log: Logger): Promise<void> {
  const stopping = stopSignal();
  const draining = new AbortController();
  const closing = new AbortController();
  const { onFatal, failed } = fatalSignal();
  const callers = await openCallers(config, log);
  const storage = await openStorage(config, log, onFatal);
  const worker = config.inlineWorker ? composeWorker(config, storage, log) : null;
  const readiness = composeReadiness(storage, { worker, draining: draining.signal });
  const context = { worker, draining: draining.signal, closing: closing.signal, log };
  const { reasonsNotReady } = readiness;
  const serving = { ...context, reasonsNotReady, callers };
  const api = createApi(composeApiPorts(config, storage, serving));
  warnOfDangers(config, log);
  const server = serve({
    hostname: config.host,
    port: config.port,
    fetch: (request) => api.fetch(request),
  });
  // Without a worker here somebody has to find out that those elsewhere are gone.
  const background = worker?.services ?? [composeReaper(config, storage, log)];
  const callbacks = composeCallbacks(config, storage, log);
  const stopAll = await startAll([readiness.service, ...background, ...callbacks], log);
  log.info("listening", `Listening on ${server.url.href} (store: ${storage.store.kind})`);

  await untilStop(log, stopping, failed);
  const endsAtMs = performance.now() + stopDeadlineMs(config);
  draining.abort();
  await stopAll(stopDeadlineMs(config));
  closing.abort();
  await server.stop(Math.max(endsAtMs - performance.now(), 0));
  await storage.store.close();
}

const start = readCommandLine(USAGE);
if ("exitCode" in start) process.exit(start.exitCode);
if (start.command === "doctor") process.exit(await examine(start.config));
process.exit(await exitCodeOf(start.config, run));
