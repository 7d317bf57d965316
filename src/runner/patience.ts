import { AppError, type ErrorCode } from "../errors.ts";
import { pause } from "../lifecycle.ts";
import type { CollectorAnswer } from "../logs/collect.ts";
import type { AppendAnswer } from "../store/store.ts";

/*
 * How a run waits for a store that is away, or full.
 */

/** A store that does not answer is asked again this often. Every step is idempotent, so asking again is safe. */
const RETRY_INTERVAL_MS = 250;
const NEVER = new AbortController().signal;

/** Repeats a step while the store does not answer or has no room, until it does; `signal` ends that early. */
export async function untilAnswered<T>(step: () => Promise<T>, signal = NEVER): Promise<T> {
  for (;;) {
    try {
      return await step();
    } catch (error) {
      const isPassing = isStoreError(error, "store_unavailable", "storage_full");
      if (!isPassing || signal.aborted) throw error;
      await pause(RETRY_INTERVAL_MS, signal);
    }
  }
}

/**
 * As untilAnswered, but waits for room in a full store only so long: until then the program is held back in its pipes,
 * afterwards its output is dropped, so that a full store does not keep a job from ending.
 */
export async function appendOrRefuse(
  step: () => Promise<AppendAnswer>,
  options: {
    readonly patienceMs: number;
    readonly signal: AbortSignal;
    /** Whether the entry is in the log after all. */
    readonly isStored: () => Promise<boolean>;
  },
): Promise<CollectorAnswer> {
  const { patienceMs, signal, isStored } = options;
  const refuseAtMs = performance.now() + patienceMs;
  let isUnknown = false;
  for (;;) {
    try {
      return await step();
    } catch (error) {
      const isFull = isStoreError(error, "storage_full");
      // An earlier try that got no answer may have been the one for which there was still room.
      if (isFull && performance.now() >= refuseAtMs)
        return {
          kind: isUnknown && (await untilAnswered(isStored, signal)) ? "stored" : "refused",
        };
      isUnknown ||= !isFull;
      if (!(isFull || isStoreError(error, "store_unavailable")) || signal.aborted) throw error;
      await pause(RETRY_INTERVAL_MS, signal);
    }
  }
}

function isStoreError(error: unknown, ...codes: readonly ErrorCode[]): boolean {
  return error instanceof AppError && codes.includes(error.code);
}
