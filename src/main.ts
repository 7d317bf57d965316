import { createApi } from "./api/app.ts";
import { composeApiPorts } from "./compose-api.ts";
import { composeReadiness, composeWorker, openStorage } from "./compose.ts";
import type { Config } from "./config.ts";
import { examine } from "./doctor.ts";
import {
  exitCodeOf,
  fatalSignal,
  readCommandLine,
  report,
  stopDeadlineMs,
  stopSignal,
  warnOfMissingSandbox,
} from "./entry.ts";
import { startAll } from "./lifecycle.ts";
import { serve } from "./platform/serve.ts";

const USAGE = `job-runner: runs code in a sandbox and streams what it prints.

Usage: bun run src/main.ts [--help | doctor]

doctor says what of the sandbox works on this machine, what does not, and how to mend it.`;

async function run(config: Config): Promise<void> {
  const stopping = stopSignal();
  const draining = new AbortController();
  const closing = new AbortController();
  const { onFatal, failed } = fatalSignal();
  const storage = await openStorage(config, onFatal);
  const worker = config.inlineWorker ? composeWorker(config, storage, report) : null;
  const readiness = composeReadiness(storage, { worker, draining: draining.signal });
  const context = { worker, draining: draining.signal, closing: closing.signal, report };
  const { reasonsNotReady } = readiness;
  const api = createApi(composeApiPorts(config, storage, { ...context, reasonsNotReady }));
  warnOfMissingSandbox(config);
  const server = serve({
    hostname: config.host,
    port: config.port,
    fetch: (request) => api.fetch(request),
  });
  const stopAll = await startAll([readiness.service, ...(worker?.services ?? [])], report);
  report(`Listening on ${server.url.href} (store: ${storage.store.kind})`);

  report(`${await Promise.race([stopping, failed])}: finishing what runs, taking nothing new.`);
  draining.abort();
  await stopAll(stopDeadlineMs(config));
  closing.abort();
  await server.stop();
  await storage.store.close();
}

const start = readCommandLine(USAGE);
if ("exitCode" in start) process.exit(start.exitCode);
if (start.command === "doctor") process.exit(await examine(start.config));
process.exit(await exitCodeOf(() => run(start.config)));
