import { AppError } from "../errors.ts";
import type { JobRecord } from "../jobs/job.ts";
import type { EntryId } from "../jobs/log-entry.ts";
import { isTerminal } from "../jobs/states.ts";
import { pause } from "../lifecycle.ts";
import type { Store } from "../store/store.ts";
import { noJob } from "./find-job.ts";
import { MAX_WAIT_SEC } from "./request-schemas.ts";

/*
 * Waiting for a job's end. Whoever waits is a watcher of its log, whose last entry is stored with the end: that costs no
 * connection, no thread and no polling, however many wait.
 */

/** A log that has been seen to grow this often is of a job that prints a lot, and is looked at less often from then on. */
const PROMPT_LOOKS = 16;
/** The end of such a job is seen so much later. */
const REST_MS = 10;

/**
 * Resolves to the job once it has ended; to the job as it is after `timeoutMs`, or once `signal` has fired. Throws AppError
 * `not_found` where it was removed meanwhile, and `store_unavailable`.
 */
export async function untilEnded(
  store: Pick<Store, "get" | "lastEntryId" | "waitForEntries">,
  job: JobRecord,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<JobRecord> {
  const { id } = job;
  const endMs = performance.now() + timeoutMs;
  let after: EntryId | null = null;
  for (let current = job, looks = 0; ; looks++) {
    const leftMs = endMs - performance.now();
    if (isTerminal(current.status) || leftMs <= 0 || signal.aborted) return current;
    if (looks > PROMPT_LOOKS) await pause(Math.min(REST_MS, leftMs), signal);
    const entry = await store.waitForEntries({ id, after, timeoutMs: leftMs }, signal);
    // The last entry before the record: an end that comes between the two is seen in the record, or wakes the next wait.
    after = entry ?? (await store.lastEntryId(id));
    if (entry !== null && entry.kind !== "end") continue;
    const found = await store.get(id);
    if (found === null) throw noJob(id);
    current = found;
  }
}

/** The `wait` of a Prefer header (RFC 7240, section 4.3) in seconds, at most MAX_WAIT_SEC; null where there is none. */
export function preferredWaitSec(request: Request): number | null {
  const [, digits] =
    /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:[,;]|$)/i.exec(
      request.headers.get("prefer") ?? "",
    ) ?? [];
  return digits === undefined ? null : Math.min(Number(digits), MAX_WAIT_SEC);
}

/** Whether a failure is one that leaves the job itself as it is. */
export function isPassing(error: unknown): boolean {
  return error instanceof AppError && error.code === "store_unavailable";
}
