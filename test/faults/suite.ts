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
