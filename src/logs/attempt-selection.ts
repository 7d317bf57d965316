import type { JobRecord } from "../jobs/job.ts";
import type { EntryId } from "../jobs/log-entry.ts";

/** Which attempts a reader sees: the latest, the n-th, or all of them in order. */
export type AttemptSelection = "latest" | "all" | number;

/** Where the selected attempts begin. */
export function firstEntry(record: JobRecord, attempt: AttemptSelection): EntryId {
  if (attempt === "all") return { epoch: 0, seq: 0 };
  const epoch = attempt === "latest" ? record.epochs.at(-1) : record.epochs[attempt - 1];
  return { epoch: epoch ?? 0, seq: 0 };
}

/** The epoch that a reader of one given attempt stops after; null when it goes on to the log's end, whatever comes. */
export function lastEpoch(record: JobRecord, attempt: AttemptSelection): number | null {
  return typeof attempt === "number" ? (record.epochs[attempt - 1] ?? null) : null;
}
