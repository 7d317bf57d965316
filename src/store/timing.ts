/** Durations that drivers share; tests use shorter ones. */
export interface StoreTiming {
  readonly leaseMs: number;
  readonly sweepIntervalMs: number;
}

/**
 * Silence of three sweep intervals is taken for a pause of the store, and a beat comes every third of a lease or sooner:
 * together less than one lease, so that no lease runs out in a silence that is not yet one.
 */
export function timingOf(leaseMs: number): StoreTiming {
  return { leaseMs, sweepIntervalMs: Math.min(2_000, leaseMs / 6) };
}

export const DEFAULT_TIMING: StoreTiming = timingOf(15_000);

/** A worker that has not announced itself for so long is taken for gone (Store.workers). */
export const WORKER_PRESENT_MS = 120_000;

/** How long a key of Store.submitOnce is remembered. */
export const SUBMIT_ONCE_TTL_MS = 24 * 60 * 60 * 1000;

/**
 * A job is claimed before those of the next lower priority that were submitted up to so much earlier, and after all older
 * ones. So a priority is a head start: however many jobs of a higher one come, none waits for ever.
 */
export const PRIORITY_HEAD_START_MS = 5 * 60 * 1000;
