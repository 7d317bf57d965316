import { AppError } from "../../errors.ts";
import type { JobRecord, NewJob } from "../../jobs/job.ts";
import { decodeRecord, encodeNewJob } from "./codec.ts";
import type { Context } from "./context.ts";

/** Store.submit */
export async function submit({ data, keys }: Context, job: NewJob): Promise<JobRecord> {
  const args = [job.id, encodeNewJob(job), job.spec.priority];
  const fields = await data.script("submit", [...keys.shared, keys.job(job.id)], args);
  const record = decodeRecord(fields as readonly string[]);
  if (record === null) throw new AppError("internal", `Redis kept no record of job ${job.id}`);
  return record;
}
