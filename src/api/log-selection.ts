import { AppError } from "../errors.ts";
import type { JobRecord } from "../jobs/job.ts";
import type { AttemptSelection } from "../logs/attempt-selection.ts";

/** The attempts that are asked for; the latest where nothing is. Throws AppError `not_found` where there is no such attempt. */
export function attemptOf(given: string | undefined, job: JobRecord): AttemptSelection {
  if (given === undefined || given === "latest") return "latest";
  if (given === "all") return "all";
  const attempt = Number(given);
  if (attempt > job.epochs.length)
    throw new AppError(
      "not_found",
      `The job has had ${job.epochs.length} attempts; there is no attempt ${attempt}.`,
      { fields: [{ pointer: "/attempt", detail: "There is no such attempt." }] },
    );
  return attempt;
}
