import type { AttemptReason } from "../../jobs/log-entry.ts";
import type { SubmitKey } from "../store.ts";
import { SUBMIT_ONCE_TTL_MS } from "../timing.ts";
import { expectCallback } from "./callbacks.ts";
import type { RecordRow, SubmitRow } from "./codec.ts";
import type { Connection } from "./connection.ts";
import { findRecord } from "./job-row.ts";
import { admit, countUse } from "./quota.ts";

/** Stores and queues a job, unless its id is known. The record either way. Throws where a limit is reached. */
export function submit(db: Connection, job: SubmitRow): RecordRow | undefined {
  const known = findRecord(db, job.id);
  if (known !== undefined) return known;
  const { keyId } = job;
  admit(db, keyId, job.limits);
  const row = db.get<{ n: number }>(
    `INSERT INTO job (id, key_id, state, priority, created_at) VALUES (?, ?, 'queued', ?, ?) RETURNING n`,
    job.id,
    keyId,
    job.priority,
    Date.now(),
  );
  if (row === undefined) return undefined;
  db.run("INSERT INTO spec (n, submitted) VALUES (?, ?)", row.n, job.submitted);
  if (job.hasCallback) expectCallback(db, row.n);
  if (keyId !== null) countUse(db, { keyId, counted: "submits", amount: 1 });
  return findRecord(db, job.id);
}

/** A SubmitOnceRequest. */
export interface SubmitOnceRow extends SubmitKey {
  readonly job: SubmitRow;
}

/** The record of the job that is still there and was stored under the key within the last day; null where there is none. */
export function findSubmitted(
  db: Connection,
  { key, digest }: SubmitKey,
): RecordRow | "mismatch" | null {
  const first = db.get<{ id: string; digest: string }>(
    "SELECT job.id, once.digest FROM once JOIN job USING (n) WHERE key = ? AND stored_at >= ?",
    key,
    Date.now() - SUBMIT_ONCE_TTL_MS,
  );
  if (first === undefined) return null;
  return first.digest === digest ? (findRecord(db, first.id) ?? null) : "mismatch";
}

/** As submit, unless findSubmitted finds a job: then what that gives. */
export function submitOnce(
  db: Connection,
  { job, key, digest }: SubmitOnceRow,
): RecordRow | "mismatch" | undefined {
  const nowMs = Date.now();
  db.run("DELETE FROM once WHERE stored_at < ?", nowMs - SUBMIT_ONCE_TTL_MS);
  const first = findSubmitted(db, { key, digest });
  if (first !== null) return first;
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
