import { composeWorker, openStorage } from "./compose.ts";
import type { Config } from "./config.ts";
import { readCommandLine, report, reportFailedStart, stopSignal } from "./entry.ts";
import { startAll } from "./lifecycle.ts";

const USAGE = `job-runner worker: runs the jobs that an API process with INLINE_WORKER=0 has queued.

Usage: REDIS_URL=redis://localhost:6379/0 bun run src/worker.ts [--help]`;

/** Beyond the drain: what killing the last programs and closing the store may take. */
const STOP_MARGIN_MS = 5_000;

async function run(config: Config): Promise<void> {
  const stopping = stopSignal();
  const storage = await openStorage(config);
  const worker = composeWorker(config, storage, report);
  if (config.sandbox === "none")
    report("WARNING: SANDBOX=none: jobs run with all the rights of this service.");
  const stopAll = await startAll(worker.services, report);
  report(`Working (store: ${storage.store.kind})`);

  report(`${await stopping}: finishing what runs, taking nothing new.`);
  await stopAll(config.drainSec * 1000 + STOP_MARGIN_MS);
  await storage.store.close();
}

const start = readCommandLine(USAGE);
if ("exitCode" in start) process.exit(start.exitCode);
if (start.config.redisUrl === undefined) {
  report("A worker beside the API needs a store that both reach: set REDIS_URL.");
  process.exit(2);
}
try {
  await run(start.config);
  process.exit(0);
} catch (error) {
  reportFailedStart(error);
  process.exit(1);
}
