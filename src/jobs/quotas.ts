import { AppError } from "../errors.ts";

/*
 * How much one API key may use, and when a submit is refused for it. The drivers of the store read the numbers and ask
 * here, inside the step that stores the job; Lua makes the same decision, and the store contract suite runs one table of
 * cases through both.
 */

/** null: as much as there is. */
export interface Quotas {
  /** Jobs that wait or run at a time. */
  readonly maxActive: number | null;
  readonly submitsPerMinute: number | null;
  /** Counted when a job finishes: what runs already may go past it. */
  readonly cpuSecPerDay: number | null;
}

export const NO_QUOTAS: Quotas = { maxActive: null, submitsPerMinute: null, cpuSecPerDay: null };

/** What one submit must not go past. */
export interface SubmitLimits extends Quotas {
  /** Jobs that wait, of everybody together. */
  readonly maxQueued: number | null;
}

export const NO_LIMITS: SubmitLimits = { ...NO_QUOTAS, maxQueued: null };

/*
 * Windows are fixed: one begins with the first use after the last one's end. So twice the quota may fall into a minute
 * that lies across two of them; a sliding window would have to remember every submit.
 */
export const SUBMITS_WINDOW_MS = 60 * 1000;
export const CPU_WINDOW_MS = 24 * 60 * 60 * 1000;

export interface WindowUse {
  readonly used: number;
  /** Until the window ends; 0 where none has begun. */
  readonly resetMs: number;
}

/** What an API key uses at this moment. */
export interface KeyUse {
  readonly active: number;
  readonly submits: WindowUse;
  readonly cpuMs: WindowUse;
}

const UNUSED: WindowUse = { used: 0, resetMs: 0 };
export const NO_USE: KeyUse = { active: 0, submits: UNUSED, cpuMs: UNUSED };

/** A limit that one more submit would go past; `waitMs` is 0 where nobody can tell when there will be room. */
export interface ReachedLimit {
  readonly limit: keyof SubmitLimits;
  readonly waitMs: number;
}

/** The first limit that has been reached; null when one more job may be stored. */
export function reachedLimit(
  limits: SubmitLimits,
  use: KeyUse & { readonly queued: number },
): ReachedLimit | null {
  const isReached = (limit: number | null, used: number) => limit !== null && used >= limit;
  if (isReached(limits.maxQueued, use.queued)) return { limit: "maxQueued", waitMs: 0 };
  if (isReached(limits.maxActive, use.active)) return { limit: "maxActive", waitMs: 0 };
  if (isReached(limits.submitsPerMinute, use.submits.used))
    return { limit: "submitsPerMinute", waitMs: use.submits.resetMs };
  if (isReached(limits.cpuSecPerDay, use.cpuMs.used / 1000))
    return { limit: "cpuSecPerDay", waitMs: use.cpuMs.resetMs };
  return null;
}

/** When to try again where only the end of some job makes room. */
const UNKNOWN_WAIT_SEC = 5;

/** The refusal of a submit: `queue_full`, or `quota_exceeded` with the quota's name in its fields. */
export function limitReached(limits: SubmitLimits, { limit, waitMs }: ReachedLimit): AppError {
  const retryAfterSec = waitMs > 0 ? Math.ceil(waitMs / 1000) : UNKNOWN_WAIT_SEC;
  const most = limits[limit] ?? 0;
  const quotaExceeded = (name: string, detail: string) =>
    new AppError("quota_exceeded", `${name}: ${detail}`, {
      fields: [{ pointer: `/${name}`, detail }],
      retryAfterSec,
    });
  switch (limit) {
    case "maxQueued":
      return new AppError(
        "queue_full",
        `As many jobs wait as this server takes (MAX_QUEUED is ${most.toString()}): try again later.`,
        { retryAfterSec },
      );
    case "maxActive":
      return quotaExceeded("max_active", `This key may have ${most.toString()} jobs wait or run.`);
    case "submitsPerMinute":
      return quotaExceeded(
        "submits_per_minute",
        `This key may submit ${most.toString()} jobs in a minute.`,
      );
    case "cpuSecPerDay":
      return quotaExceeded(
        "cpu_sec_per_day",
        `The jobs of this key may use ${most.toString()} seconds of CPU time in a day.`,
      );
  }
}
