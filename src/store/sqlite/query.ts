import { matchesFilter, type JobFilter } from "../../jobs/job.ts";
import { PAGE_RECORD_BYTES } from "../listing.ts";
import { PRIORITY_HEAD_START_MS } from "../timing.ts";
import { decodeRecord, RECORD_COLUMNS, type RecordRow } from "./codec.ts";
import type { Connection } from "./connection.ts";
import { findRecord } from "./job-row.ts";

/** How many jobs one page looks at, whatever its filter lets through. */
const SCANNED_PER_PAGE = 2_000;

/** The record of a job; null when it is unknown. */
export function getRecord(db: Connection, id: string): RecordRow | null {
  return findRecord(db, id) ?? null;
}

/** A ListRequest, its cursor decoded. */
export interface ListRows {
  readonly filter: JobFilter;
  readonly limit: number;
  /** Only jobs whose `n` is smaller. */
  readonly below: number;
}

/** One page. */
export interface ListedRows {
  readonly rows: readonly RecordRow[];
  /** `below` of the next page; null on the last. */
  readonly nextBelow: number | null;
}

/** The next page of jobs by falling `n`: newest first. */
export function list(db: Connection, request: ListRows): ListedRows {
  const { filter, limit, below } = request;
  const found: RecordRow[] = [];
  let scannedJobs = 0;
  let scannedBytes = 0;
  let last = below;
  for (const row of newestFirst(db, filter, below)) {
    // Looked at only to learn that there is more.
    if (
      found.length === limit ||
      scannedJobs === SCANNED_PER_PAGE ||
      scannedBytes >= PAGE_RECORD_BYTES
    )
      return { rows: found, nextBelow: last };
    scannedJobs += 1;
    scannedBytes += Buffer.byteLength(row.submitted) + Buffer.byteLength(row.outcome ?? "");
    last = row.n;
    if (matchesFilter(decodeRecord(row), filter)) found.push(row);
  }
  return { rows: found, nextBelow: null };
}

function newestFirst(db: Connection, filter: JobFilter, below: number): Iterable<RecordRow> {
  const select = `SELECT ${RECORD_COLUMNS} FROM job JOIN spec USING (n) WHERE job.n < ?`;
  return filter.status === undefined
    ? db.iterate<RecordRow>(`${select} ORDER BY job.n DESC`, below)
    : db.iterate<RecordRow>(`${select} AND state = ? ORDER BY job.n DESC`, below, filter.status);
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
