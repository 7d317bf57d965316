import { forgetCallback } from "./callbacks.ts";
import type { Connection } from "./connection.ts";
import { findJob } from "./job-row.ts";

/** Of Store.expired. */
export interface ExpiredRequest {
  readonly olderThanMs: number;
  readonly limit: number;
}

/** Ids of jobs that ended before now - `olderThanMs`, oldest end first. */
export function expired(db: Connection, request: ExpiredRequest): readonly string[] {
  return db
    .all<{ id: string }>(
      "SELECT id FROM job WHERE finished_at < ? ORDER BY finished_at LIMIT ?",
      Date.now() - request.olderThanMs,
      request.limit,
    )
    .map(({ id }) => id);
}

/** Takes an ended job out of sight for good; its log is deleted piece by piece, see purge. */
export function remove(db: Connection, id: string): boolean {
  const job = findJob(db, id);
  if (job === undefined || job.state === "queued" || job.state === "running") return false;
  db.run("DELETE FROM job WHERE n = ?", job.n);
  db.run("DELETE FROM spec WHERE n = ?", job.n);
  db.run("DELETE FROM once WHERE n = ?", job.n);
  forgetCallback(db, job.n);
  db.run("INSERT INTO trash (n) VALUES (?)", job.n);
  return true;
}

/** Log entries deleted in one step: 2 MiB where all are full (ENTRY_MAX_BYTES). A 10 MiB log at once held up every other commit for 85 ms. */
const PURGE_CHUNKS = 32;

/** Deletes one piece of the removed jobs' logs. true while there is more to delete. */
export function purge(db: Connection): boolean {
  const next = db.get<{ n: number }>("SELECT n FROM trash LIMIT 1");
  if (next === undefined) return false;
  const deleted = db.run(
    `DELETE FROM chunk WHERE chunk_id IN (SELECT chunk_id FROM chunk WHERE n = ? LIMIT ${PURGE_CHUNKS.toString()})`,
    next.n,
  );
  if (deleted < PURGE_CHUNKS) db.run("DELETE FROM trash WHERE n = ?", next.n);
  return true;
}
