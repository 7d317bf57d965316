import type { AttemptReason } from "../../jobs/log-entry.ts";
import type { RecordRow } from "./codec.ts";
import type { Connection } from "./connection.ts";
import { findRecord } from "./job-row.ts";

/** A NewJob as it is stored. */
export interface SubmitRow {
  readonly id: string;
  /** A position in PRIORITIES: the greater goes first. */
  readonly priority: number;
  /** The NewJob as JSON. */
  readonly submitted: string;
}

/** Stores and queues a job, unless its id is known. The record either way. */
export function submit(db: Connection, job: SubmitRow): RecordRow | undefined {
  const known = findRecord(db, job.id);
  if (known !== undefined) return known;
  const row = db.get<{ n: number }>(
    `INSERT INTO job (id, state, priority, created_at) VALUES (?, 'queued', ?, ?) RETURNING n`,
    job.id,
    job.priority,
    Date.now(),
  );
  if (row === undefined) return undefined;
  db.run("INSERT INTO spec (n, submitted) VALUES (?, ?)", row.n, job.submitted);
  return findRecord(db, job.id);
}

/** Puts a job back to its place in the queue. Its owner stays in the record: it held the latest claim. */
export function requeue(
  db: Connection,
  job: { readonly n: number; readonly crashes: number },
  retryReason: AttemptReason,
): void {
  db.run(
    "UPDATE job SET state = 'queued', retry_reason = ?, crashes = ? WHERE n = ?",
    retryReason,
    job.crashes,
    job.n,
  );
}
