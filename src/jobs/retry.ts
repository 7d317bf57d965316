import type { AttemptReason } from "./log-entry.ts";

/** How many crashed workers one job may meet before it is `lost`. A drain or a store outage does not count. */
export const MAX_CRASHES = 2;

/** What becomes of a job whose worker is gone. */
export type AfterCrash = "requeue" | "lost" | "cancelled";

/**
 * Decides for a job whose worker died. `crashes` counts this death too. The Lua sweep makes the same decision; the
 * store contract suite runs one table of cases through both.
 */
export function afterCrash(job: {
  readonly crashes: number;
  readonly cancelRequested: boolean;
}): AfterCrash {
  if (job.cancelRequested) return "cancelled";
  return job.crashes >= MAX_CRASHES ? "lost" : "requeue";
}

/** The retry reasons that the two ways of handing a job back record. */
export const RETRY_REASON = {
  sweep: "worker_lost",
  release: "worker_drained",
} as const satisfies Record<string, AttemptReason>;
