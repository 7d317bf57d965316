import type { AttemptReason } from "../../jobs/log-entry.ts";
import type { JobStatus } from "../../jobs/states.ts";
import type { LeaseKey } from "../store.ts";
import { RECORD_COLUMNS, type RecordRow } from "./codec.ts";
import type { Connection } from "./connection.ts";

/** What a step needs to know of a job before it decides; without the spec, which may be large. */
export interface JobRow {
  readonly n: number;
  readonly id: string;
  readonly key_id: string | null;
  readonly state: JobStatus;
  readonly priority: number;
  readonly epoch: number;
  readonly owner: string | null;
  readonly crashes: number;
  readonly cancel_requested: number;
  readonly retry_reason: AttemptReason | null;
  readonly epochs: string;
  readonly finished_by_claim: number;
}

/** For a select from `job`; the rows are JobRow. */
export const JOB_COLUMNS =
  "n, id, key_id, state, priority, epoch, owner, crashes, cancel_requested, retry_reason, epochs, finished_by_claim";

/** The row of a job; undefined when it is unknown. */
export function findJob(db: Connection, id: string): JobRow | undefined {
  return db.get<JobRow>(`SELECT ${JOB_COLUMNS} FROM job WHERE id = ?`, id);
}

/** Whether `lease` is the claim under which the job runs now. */
export function isHeldBy(job: JobRow, lease: LeaseKey): boolean {
  return job.state === "running" && job.epoch === lease.epoch && job.owner === lease.owner;
}

/** The row of a job with its spec; undefined when it is unknown, or not of the API key `onlyOf`. */
export function findRecord(
  db: Connection,
  id: string,
  onlyOf: string | null = null,
): RecordRow | undefined {
  return db.get<RecordRow>(
    `SELECT ${RECORD_COLUMNS} FROM job JOIN spec USING (n) WHERE id = ?1 AND (?2 IS NULL OR key_id = ?2)`,
    id,
    onlyOf,
  );
}
