import { PRIORITIES } from "../../jobs/job.ts";
import type { BeatAnswer, BeatRequest, ClaimRequest, HeldClaim } from "../store.ts";
import { PRIORITY_HEAD_START_MS } from "../timing.ts";
import { encodeEntry, type RecordRow } from "./codec.ts";
import type { Connection } from "./connection.ts";
import { findJob, findRecord, isHeldBy, JOB_COLUMNS, type JobRow } from "./job-row.ts";
import { insertEntry } from "./log.ts";

export interface ClaimAnswer {
  /** The job that was taken; null when nothing waits. */
  readonly row: RecordRow | null;
  /** Whether another claim would find something. */
  readonly isMoreQueued: boolean;
}

/** Takes the next job, or finds the one that this very request has taken before. */
export function claim(db: Connection, request: ClaimRequest): ClaimAnswer {
  const row = take(db, request);
  const next = db.get("SELECT 1 FROM job INDEXED BY job_queued WHERE state = 'queued' LIMIT 1");
  return { row, isMoreQueued: next !== undefined };
}

function take(db: Connection, request: ClaimRequest): RecordRow | null {
  const { owner, slot, token } = request;
  const taken = db.get<{ id: string }>(
    "SELECT id FROM job WHERE state = 'running' AND owner = ? AND slot = ? AND token = ?",
    owner,
    slot,
    token,
  );
  if (taken !== undefined) return findRecord(db, taken.id) ?? null;
  const next = nextQueued(db);
  if (next === undefined) return null;
  startAttempt(db, next, request);
  return findRecord(db, next.id) ?? null;
}

type QueuedRow = JobRow & { readonly created_at: number };

/** Of the first jobs of all queues the one that is due: see PRIORITY_HEAD_START_MS. */
function nextQueued(db: Connection): QueuedRow | undefined {
  // SQLite would else choose an index by state and sort the whole queue, for each claim.
  const firstOf = (rank: number) =>
    db.get<QueuedRow>(
      `SELECT ${JOB_COLUMNS}, created_at FROM job INDEXED BY job_queued WHERE state = 'queued' AND priority = ? ORDER BY n LIMIT 1`,
      rank,
    );
  const dueAtMs = (job: QueuedRow) => job.created_at - job.priority * PRIORITY_HEAD_START_MS;
  return PRIORITIES.map((_, rank) => firstOf(rank))
    .filter((job) => job !== undefined)
    .reduce<QueuedRow | undefined>(
      (best, job) => (best === undefined || dueAtMs(job) <= dueAtMs(best) ? job : best),
      undefined,
    );
}

function startAttempt(db: Connection, job: JobRow, request: ClaimRequest): void {
  const nowMs = Date.now();
  // Also when the clock went back: an epoch that does not grow would not fence the one before it.
  const epoch = Math.max(job.epoch + 1, nowMs);
  const epochs = [...(JSON.parse(job.epochs) as number[]), epoch];
  db.run(
    `UPDATE job SET state = 'running', epoch = ?, epochs = ?, started_at = ?, owner = ?, slot = ?, token = ?,
       log_bytes = 0, log_dropped_bytes = 0 WHERE n = ?`,
    epoch,
    JSON.stringify(epochs),
    nowMs,
    request.owner,
    request.slot,
    request.token,
    job.n,
  );
  insertEntry(
    db,
    job.n,
    encodeEntry({
      epoch,
      seq: 0,
      kind: "attempt",
      attempt: epochs.length,
      reason: job.retry_reason,
    }),
  );
}

/** Compares what a worker holds with what the store knows. Nothing to renew: a claim lasts as long as this process. */
export function beat(db: Connection, { owner, held, ended = [] }: BeatRequest): BeatAnswer {
  const cancelled: HeldClaim[] = [];
  const fenced: HeldClaim[] = [];
  for (const { id, epoch } of held) {
    const job = findJob(db, id);
    if (job === undefined || !isHeldBy(job, { id, epoch, owner })) fenced.push({ id, epoch });
    else if (job.cancel_requested === 1) cancelled.push({ id, epoch });
  }
  const unfinished = ended.filter(({ id, epoch }) => {
    const job = findJob(db, id);
    return job !== undefined && isHeldBy(job, { id, epoch, owner });
  });
  return { cancelled, fenced, unfinished };
}
