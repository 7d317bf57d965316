import { API_DEATH } from "./rows/api-death.ts";
import { CANCEL } from "./rows/cancel.ts";
import { CLOCKS } from "./rows/clocks.ts";
import { DRAIN } from "./rows/drain.ts";
import { NETWORK } from "./rows/network.ts";
import { OUTPUT } from "./rows/output.ts";
import { REDIS_DEATH } from "./rows/redis-death.ts";
import { REDIS_FULL } from "./rows/redis-full.ts";
import { SLOW_CLIENT_ROWS } from "./rows/slow-clients.ts";
import { SQLITE_ROWS } from "./rows/sqlite.ts";
import { STREAMS } from "./rows/streams.ts";
import { WORKER_DEATH } from "./rows/worker-death.ts";
import type { Row } from "./trial.ts";

/*
 * What is injected, and where:
 *   worker-death   kill -9 at every step of a worker's life, until a job's budget is spent, while sandboxes wait for jobs;
 *                  SIGSTOP until it is replaced
 *   api-death      kill -9 of the API during an upload, around the store's answer, under streams, with inline jobs
 *   redis-death    kill -9, host crash, SIGSTOP, CLIENT PAUSE, SCRIPT FLUSH, an outage that holds a program back
 *   redis-full     maxmemory, alone and with a worker's death; MISCONF
 *   network        the reply of every step lost, a claim's that is late, a worker in a black hole
 *   clocks         of workers and of Redis, an hour off
 *   sqlite         kill -9 at random moments, a full disk
 *   drain          SIGTERM of workers, of an API with streams and a request under way
 *   cancel         at every state
 *   slow-clients   of a big log
 *   streams        resume at every id, the moment of the end, expiry, silence, forged frames
 *   output         floods, bytes that are hard to cut, grandchildren, last words
 */

/** Every row of the suite, in the order of its table. */
export const ROWS: readonly Row[] = [
  ...WORKER_DEATH,
  ...API_DEATH,
  ...REDIS_DEATH,
  ...REDIS_FULL,
  ...NETWORK,
  ...CLOCKS,
  ...SQLITE_ROWS,
  ...DRAIN,
  ...CANCEL,
  ...SLOW_CLIENT_ROWS,
  ...STREAMS,
  ...OUTPUT,
];
