import { composeWorker, openStorage } from "./compose.ts";
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

const USAGE = `job-runner worker: runs the jobs that an API process with INLINE_WORKER=0 has queued.

Usage: REDIS_URL=redis://localhost:6379/0 bun run src/worker.ts [--help | doctor]

doctor says what of the sandbox works on this machine, what does not, and how to mend it.`;

async function run(config: Config, log: Logger): Promise<void> {
  const stopping = stopSignal();
  const { onFatal, failed } = fatalSignal();
  const storage = await openStorage(config, log, onFatal);
  const worker = composeWorker(config, storage, log);
  warnOfDangers(config, log);
  const stopAll = await startAll(worker.services, log);
  log.info("working", `Working (store: ${storage.store.kind})`);

  await untilStop(log, stopping, failed);
  await stopAll(stopDeadlineMs(config));
  await storage.store.close();
}

const start = readCommandLine(USAGE);
if ("exitCode" in start) process.exit(start.exitCode);
if (start.command === "doctor") process.exit(await examine(start.config));
if (start.config.redisUrl === undefined) {
  complain("A worker beside the API needs a store that both reach: set REDIS_URL.");
  process.exit(2);
}
process.exit(await exitCodeOf(start.config, run));
