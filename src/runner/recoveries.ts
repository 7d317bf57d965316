import type { Logger } from "../logger.ts";
import type { SweepAnswer } from "../store/store.ts";

/** What the reaper has put right in one step. */
export interface Recovery extends SweepAnswer {
  /** Folders of jobs that the store has lost: how many were removed. */
  readonly removedFolders?: number;
}

/** What became of a job whose worker is gone: its status from then on, in words. */
const BECAME = {
  requeued: { status: "queued", message: "The job's worker was gone: the job waits to run again." },
  lost: { status: "lost", message: "The job's worker was gone once too often: the job is lost." },
  cancelled: {
    status: "cancelled",
    message: "The job's worker was gone: the job has ended as cancelled, which was asked for.",
  },
} as const satisfies Record<keyof SweepAnswer, { status: string; message: string }>;

/**
 * Says of each job of a dead worker, at `warn` and in a line of its own, what became of it; and of the folders that were
 * removed, in one line, how many they were.
 */
export function createRecoveryReport(log: Logger): (recovery: Recovery) => void {
  return ({ removedFolders = 0, ...answer }) => {
    for (const became of ["requeued", "lost", "cancelled"] as const)
      for (const id of answer[became]) {
        const { status, message } = BECAME[became];
        log.warn("job_recovered", message, { job_id: id, status });
      }
    if (removedFolders > 0)
      log.warn(
        "folders_removed",
        `Folders of jobs that the store does not know were removed: ${removedFolders}.`,
      );
  };
}
