import { AppError } from "../errors.ts";
import { isJobId, type JobRecord } from "../jobs/job.ts";
import { jobView } from "./job-view.ts";
import type { ApiPorts, RoutePorts } from "./ports.ts";

/**
 * The record of a job. Throws AppError `not_found`, also once the job has expired, and where it is not one that the caller
 * may see: the two are not to be told apart.
 */
export async function findJob(
  { store, callerOf }: RoutePorts,
  id: string,
  request: Request,
): Promise<JobRecord> {
  const { onlyJobsOf } = callerOf(request);
  // What is not shaped like our ids never becomes a part of a store's keys.
  const job = isJobId(id) ? await store.get(id, onlyJobsOf) : null;
  if (job === null) throw noJob(id);
  return job;
}

/** The refusal of a call about a job that is not there, or not any more. */
export function noJob(id: string): AppError {
  return new AppError("not_found", `There is no job ${JSON.stringify(id)} (or no longer).`);
}

/** A job as it is shown by itself, with its place in the queue. Never throws. */
export async function describeJob({ store }: ApiPorts, job: JobRecord) {
  if (job.status !== "queued") return jobView(job, null);
  // What has been stored or cancelled must not look refused because of a number that can be asked for again.
  const position = await store.queuePosition(job.id).catch(() => null);
  return jobView(job, position);
}
