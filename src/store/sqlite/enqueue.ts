import type { AttemptReason } from "../../jobs/log-entry.ts";
import { SUBMIT_ONCE_TTL_MS } from "../timing.ts";
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

/** A SubmitOnceRequest. */
export interface SubmitOnceRow {
  readonly job: SubmitRow;
  readonly key: string;
  readonly digest: string;
}

/** As submit, unless a job that is still there was stored under the key within the last day. */
export function submitOnce(
  db: Connection,
  { job, key, digest }: SubmitOnceRow,
): RecordRow | "mismatch" | undefined {
  const nowMs = Date.now();
  db.run("DELETE FROM once WHERE stored_at < ?", nowMs - SUBMIT_ONCE_TTL_MS);
  const first = db.get<{ id: string; digest: string }>(
    "SELECT job.id, once.digest FROM once JOIN job USING (n) WHERE key = ?",
    key,
  );
  if (first !== undefined) return first.digest === digest ? findRecord(db, first.id) : "mismatch";
  const row = submit(db, job);
  if (row !== undefined)
    db.run(
      "INSERT OR REPLACE INTO once (key, digest, n, stored_at) VALUES (?, ?, ?, ?)",
      key,
      digest,
      row.n,
      nowMs,
    );
  return row;
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
