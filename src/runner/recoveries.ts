import type { Logger } from "../logger.ts";
import type { SweepAnswer } from "../store/store.ts";

/** What became of a job whose worker is gone: its status from then on, in words. */
const BECAME = {
  requeued: { status: "queued", message: "The job's worker was gone: the job waits to run again." },
  lost: { status: "lost", message: "The job's worker was gone once too often: the job is lost." },
  cancelled: {
    status: "cancelled",
    message: "The job's worker was gone: the job has ended as cancelled, which was asked for.",
  },
} as const satisfies Record<keyof SweepAnswer, { status: string; message: string }>;

/** Says of each job of a dead worker, at `warn` and in a line of its own, what became of it. */
export function createRecoveryReport(log: Logger): (answer: SweepAnswer) => void {
  return (answer) => {
    for (const became of ["requeued", "lost", "cancelled"] as const)
      for (const id of answer[became]) {
        const { status, message } = BECAME[became];
        log.warn("job_recovered", message, { job_id: id, status });
      }
  };
}

/** Says at `warn`, in one line, how many folders of jobs that the store has lost were removed; nothing where there were none. */
export function createFoldersReport(log: Logger): (count: number) => void {
  return (count) => {
    if (count > 0)
      log.warn(
        "folders_removed",
        `Folders of jobs that the store does not know were removed: ${count}.`,
      );
  };
}
