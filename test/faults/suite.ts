import { WORKER_DEATH } from "./rows/worker-death.ts";
import type { Row } from "./trial.ts";

/** Every row of the suite, in the order of its table. */
export const ROWS: readonly Row[] = [...WORKER_DEATH];
