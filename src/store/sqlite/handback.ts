import { cancelledWithoutWorker, lostAfterCrashes } from "../../jobs/outcome.ts";
import { type AfterCrash, afterCrash } from "../../jobs/retry.ts";
import type { LeaseKey, SweepAnswer } from "../store.ts";
import { RETRY_REASON } from "../../jobs/retry.ts";
import type { Connection } from "./connection.ts";
import { requeue } from "./enqueue.ts";
import { endJob } from "./finish.ts";
import { findJob, isHeldBy, JOB_COLUMNS, type JobRow } from "./job-row.ts";

/** What release did; `none` when the job was not this lease's. */
export type Released = "requeued" | "cancelled" | "none";

/** Puts a held job back, no crash counted; one that somebody has asked to cancel ends here: nobody needs it to run again. */
export function release(db: Connection, lease: LeaseKey): Released {
  const job = findJob(db, lease.id);
  if (job === undefined || !isHeldBy(job, lease)) return "none";
  if (job.cancel_requested === 1) {
    endJob(db, job, cancelledWithoutWorker());
    return "cancelled";
  }
  requeue(db, job, RETRY_REASON.release);
  return "requeued";
}

/** Decides for every job of a dead owner. */
export function releaseOwner(db: Connection, owner: string): SweepAnswer {
  return crashAll(
    db,
    db.all<JobRow>(
      `SELECT ${JOB_COLUMNS} FROM job WHERE state = 'running' AND owner = ? ORDER BY n`,
      owner,
    ),
  );
}

/** Decides for every running job: their process is gone, or this one could not own the file. */
export function recoverAll(db: Connection): SweepAnswer {
  return crashAll(
    db,
    db.all<JobRow>(`SELECT ${JOB_COLUMNS} FROM job WHERE state = 'running' ORDER BY n`),
  );
}

function crashAll(db: Connection, jobs: readonly JobRow[]): SweepAnswer {
  const ids: Record<AfterCrash, string[]> = { requeue: [], lost: [], cancelled: [] };
  for (const job of jobs) ids[crashOne(db, job)].push(job.id);
  return { requeued: ids.requeue, lost: ids.lost, cancelled: ids.cancelled };
}

function crashOne(db: Connection, job: JobRow): AfterCrash {
  const crashes = job.crashes + 1;
  const fate = afterCrash({ crashes, cancelRequested: job.cancel_requested === 1 });
  if (fate === "requeue") {
    requeue(db, { ...job, crashes }, RETRY_REASON.sweep);
    return fate;
  }
  db.run("UPDATE job SET crashes = ? WHERE n = ?", crashes, job.n);
  endJob(db, job, fate === "cancelled" ? cancelledWithoutWorker() : lostAfterCrashes());
  return fate;
}
