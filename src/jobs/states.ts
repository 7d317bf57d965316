/** The life of a job: `queued`, `running`, then exactly one terminal state, out of which nothing leads. */
export const JOB_STATUSES = [
  "queued",
  "running",
  "succeeded",
  "failed",
  "timed_out",
  "cancelled",
  "lost",
] as const;

export type JobStatus = (typeof JOB_STATUSES)[number];
export type TerminalStatus = Exclude<JobStatus, "queued" | "running">;

export function isTerminal(status: JobStatus): status is TerminalStatus {
  return status !== "queued" && status !== "running";
}
