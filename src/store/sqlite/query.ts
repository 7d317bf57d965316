import { matchesFilter } from "../../jobs/job.ts";
import { type ListRequest, PAGE_RECORD_BYTES } from "../listing.ts";
import { PRIORITY_HEAD_START_MS } from "../timing.ts";
import { decodeRecord, RECORD_COLUMNS, type RecordRow } from "./codec.ts";
import type { Connection } from "./connection.ts";
import { decodeCursor, decodeKeyCursor, encodeCursor, encodeKeyCursor } from "./cursor.ts";
import { findRecord } from "./job-row.ts";

/** How many jobs one page looks at, whatever its filter lets through. */
const SCANNED_PER_PAGE = 2_000;

/** The record of a job; null when it is unknown, or not of the API key that is asked for. */
export function getRecord(
  db: Connection,
  { id, onlyOf }: { readonly id: string; readonly onlyOf: string | null },
): RecordRow | null {
  return findRecord(db, id, onlyOf) ?? null;
}

/** One page. */
export interface ListedRows {
  readonly rows: readonly RecordRow[];
  /** null on the last. */
  readonly nextCursor: string | null;
}

/** The next page of jobs, newest first. */
export function list(db: Connection, request: ListRequest): ListedRows {
  const { filter, limit, onlyOf = null } = request;
  const found: RecordRow[] = [];
  let scannedJobs = 0;
  let scannedBytes = 0;
  let last: string | null = null;
  for (const row of onlyOf === null ? newestFirst(db, request) : newestOf(db, onlyOf, request)) {
    // Looked at only to learn that there is more.
    if (
      found.length === limit ||
      scannedJobs === SCANNED_PER_PAGE ||
      scannedBytes >= PAGE_RECORD_BYTES
    )
      return { rows: found, nextCursor: last };
    scannedJobs += 1;
    scannedBytes += Buffer.byteLength(row.submitted) + Buffer.byteLength(row.outcome ?? "");
    const job = decodeRecord(row);
    last = onlyOf === null ? encodeCursor(row.n) : encodeKeyCursor(job);
    if (matchesFilter(job, filter)) found.push(row);
  }
  return { rows: found, nextCursor: null };
}

/** By falling `n`. */
function newestFirst(db: Connection, { filter, cursor }: ListRequest): Iterable<RecordRow> {
  const below = cursor === undefined ? Number.MAX_SAFE_INTEGER : decodeCursor(cursor);
  const select = `SELECT ${RECORD_COLUMNS} FROM job JOIN spec USING (n) WHERE job.n < ?`;
  return filter.status === undefined
    ? db.iterate<RecordRow>(`${select} ORDER BY job.n DESC`, below)
    : db.iterate<RecordRow>(`${select} AND state = ? ORDER BY job.n DESC`, below, filter.status);
}

/** Those of one API key, by its own index: other jobs are neither passed over nor counted. */
function newestOf(db: Connection, keyId: string, { cursor }: ListRequest): Iterable<RecordRow> {
  const { createdAtMs, id } =
    cursor === undefined
      ? { createdAtMs: Number.MAX_SAFE_INTEGER, id: "" }
      : decodeKeyCursor(cursor);
  return db.iterate<RecordRow>(
    `SELECT ${RECORD_COLUMNS} FROM job INDEXED BY job_by_key JOIN spec USING (n)
       WHERE key_id = ? AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC`,
    keyId,
    createdAtMs,
    id,
  );
}

/** How many queued jobs come before this one; null when it is not queued. */
export function queuePosition(db: Connection, id: string): number | null {
  const job = db.get<{ priority: number; n: number; created_at: number }>(
    "SELECT priority, n, created_at FROM job WHERE id = ? AND state = 'queued'",
    id,
  );
  if (job === undefined) return null;
  const row = db.get<{ ahead: number }>(
    `SELECT count(*) AS ahead FROM job INDEXED BY job_queued WHERE state = 'queued'
       AND ((priority = ?1 AND n < ?2) OR (priority <> ?1 AND created_at - priority * ?4 < ?3 - ?1 * ?4))`,
    job.priority,
    job.n,
    job.created_at,
    PRIORITY_HEAD_START_MS,
  );
  return row?.ahead ?? null;
}

/** Each owner of a running job, once. */
export function leaseOwners(db: Connection): readonly string[] {
  return db
    .all<{ owner: string }>("SELECT DISTINCT owner FROM job WHERE state = 'running'")
    .map(({ owner }) => owner);
}
