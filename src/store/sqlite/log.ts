import type { LogSize } from "../../jobs/job.ts";
import { type EntryId, OBJECT_BYTES } from "../../jobs/log-entry.ts";
import type { AppendAnswer, LeaseKey, ReadLogRequest } from "../store.ts";
import { type EncodedEntry, type EntryRow, frameCount } from "./codec.ts";
import type { Connection } from "./connection.ts";
import { findJob, isHeldBy } from "./job-row.ts";

/** An AppendRequest, its entry encoded by the thread that asks. */
export interface AppendRow extends LeaseKey {
  readonly entry: EncodedEntry;
  readonly log: LogSize;
}

/** Adds an entry to a held job's log: the next one, or nothing when it is there already. */
export function append(db: Connection, request: AppendRow): AppendAnswer {
  const job = findJob(db, request.id);
  if (job === undefined || !isHeldBy(job, request)) return { kind: "fenced" };
  const { seq } = request.entry;
  const last = lastSeq(db, job.n, request.epoch);
  if (seq <= last) return { kind: "stored" };
  if (seq > last + 1) return { kind: "behind", lastSeq: last };
  insertEntry(db, job.n, request.entry);
  setLogSize(db, job.n, request.log);
  return { kind: "stored" };
}

/** Makes `log` the totals of the latest attempt of job `n`. */
export function setLogSize(db: Connection, n: number, log: LogSize): void {
  db.run(
    "UPDATE job SET log_bytes = ?, log_dropped_bytes = ? WHERE n = ?",
    log.bytes,
    log.droppedBytes,
    n,
  );
}

/** Adds an entry to the log of job `n`. Throws when there is one of that epoch and seq: the caller has looked. */
export function insertEntry(db: Connection, n: number, entry: EncodedEntry): void {
  db.run(
    "INSERT INTO chunk (n, epoch, seq, kind, payload_bytes, body) VALUES (?, ?, ?, ?, ?, ?)",
    n,
    entry.epoch,
    entry.seq,
    entry.kind,
    entry.payloadBytes,
    entry.body,
  );
}

/** The last seq of an epoch, 0 when it has none (a claim writes 0 itself). */
export function lastSeq(db: Connection, n: number, epoch: number): number {
  const row = db.get<{ last: number | null }>(
    "SELECT max(seq) AS last FROM chunk WHERE n = ? AND epoch = ?",
    n,
    epoch,
  );
  return row?.last ?? 0;
}

/** For a select from `chunk`: the entries from one id on, in order. Takes the job's id, an epoch and a seq. */
const FROM_ENTRY = `WHERE n = (SELECT n FROM job WHERE id = ?) AND (epoch, seq) >= (?, ?) ORDER BY epoch, seq`;

/** Entries in order, up to the one that would pass `maxBytes`, but at least one. */
export function readLog(db: Connection, request: ReadLogRequest): readonly EntryRow[] {
  const { id, from } = request;
  const count = countEntries(db, request);
  return db.all<EntryRow>(
    `SELECT epoch, seq, kind, body FROM chunk ${FROM_ENTRY} LIMIT ?`,
    id,
    from.epoch,
    from.seq,
    count,
  );
}

/** How many entries a page has. Counted first, without their bodies: the one that is too many may be as large as the page. */
function countEntries(db: Connection, { id, from, maxBytes }: ReadLogRequest): number {
  let count = 0;
  let totalBytes = 0;
  const rows = db.iterate<{ body_bytes: number; payload_bytes: number }>(
    `SELECT length(body) AS body_bytes, payload_bytes FROM chunk ${FROM_ENTRY}`,
    id,
    from.epoch,
    from.seq,
  );
  for (const { body_bytes, payload_bytes } of rows) {
    // As entryMemoryBytes, before the frames are made.
    totalBytes += payload_bytes + OBJECT_BYTES * (1 + frameCount(body_bytes, payload_bytes));
    if (totalBytes > maxBytes && count > 0) break;
    count += 1;
  }
  return count;
}

/** The id of the last entry; null for an empty log and for an unknown job. */
export function lastEntryId(db: Connection, id: string): EntryId | null {
  const row = db.get<EntryId>(
    `SELECT epoch, seq FROM chunk WHERE n = (SELECT n FROM job WHERE id = ?)
       ORDER BY epoch DESC, seq DESC LIMIT 1`,
    id,
  );
  return row === undefined ? null : { epoch: row.epoch, seq: row.seq };
}
