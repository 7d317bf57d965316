import { createApi } from "./api/app.ts";
import { composeApiPorts, composeWorker, openStorage } from "./compose.ts";
import type { Config } from "./config.ts";
import { readCommandLine, report, reportFailedStart, stopSignal } from "./entry.ts";
import { startAll } from "./lifecycle.ts";
import { serve } from "./platform/serve.ts";

const USAGE = `job-runner: runs code in a sandbox and streams what it prints.

Usage: bun run src/main.ts [--help]`;

/** Beyond the drain: what killing the last programs and closing the store may take. */
const STOP_MARGIN_MS = 5_000;

async function run(config: Config): Promise<void> {
  const stopping = stopSignal();
  const draining = new AbortController();
  const storage = await openStorage(config);
  const worker = config.inlineWorker ? composeWorker(config, storage, report) : null;
  const api = createApi(
    composeApiPorts(config, storage, { worker, draining: draining.signal, report }),
  );
  if (config.sandbox === "none")
    report("WARNING: SANDBOX=none: jobs run with all the rights of this service.");
  const server = serve({
    hostname: config.host,
    port: config.port,
    fetch: (request) => api.fetch(request),
  });
  const stopAll = await startAll(worker?.services ?? [], report);
  report(`Listening on ${server.url.href} (store: ${storage.store.kind})`);

  report(`${await stopping}: finishing what runs, taking nothing new.`);
  draining.abort();
  await stopAll(config.drainSec * 1000 + STOP_MARGIN_MS);
  await server.stop();
  await storage.store.close();
}

const start = readCommandLine(USAGE);
if ("exitCode" in start) process.exit(start.exitCode);
try {
  await run(start.config);
  process.exit(0);
} catch (error) {
  reportFailedStart(error);
  process.exit(1);
}
