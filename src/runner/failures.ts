import { AppError, messageOf } from "../errors.ts";
import type { LogFields, Logger } from "../logger.ts";

/** A loop may fail twice a second for as long as nobody mends the cause: the same failure is said this often. */
const REPEAT_MS = 60_000;
/** Of so many failures it is remembered when they were said. */
const MAX_REMEMBERED = 100;

/** Takes the failure of a step, such as `lease keeper`. */
export type ReportFailure = (step: string, error: unknown, fields?: LogFields) => void;

/**
 * Says at `error` what failed, and at `debug` what was said a moment ago, or what comes of a store that is away: that is
 * said once, by whoever watches the store.
 */
export function createFailureReport(log: Logger): ReportFailure {
  const saidAtMs = new Map<string, number>();
  return (step, error, fields = {}) => {
    const message = `The ${step} failed: ${messageOf(error)}`;
    const key = `${fields.job_id ?? ""} ${message}`;
    const nowMs = performance.now();
    const isRepeated = nowMs - (saidAtMs.get(key) ?? -Infinity) < REPEAT_MS;
    const isStoreAway = error instanceof AppError && error.code === "store_unavailable";
    if (isRepeated || isStoreAway) {
      log.debug("step_failed", message, { ...fields, error });
      return;
    }
    if (saidAtMs.size >= MAX_REMEMBERED) saidAtMs.clear();
    saidAtMs.set(key, nowMs);
    log.error("step_failed", message, { ...fields, error });
  };
}
