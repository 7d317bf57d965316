import { AppError } from "../../errors.ts";
import type { JobRecord, NewJob } from "../../jobs/job.ts";
import type { SubmitOnceRequest } from "../store.ts";
import { SUBMIT_ONCE_TTL_MS } from "../timing.ts";
import { decodeRecord, encodeNewJob } from "./codec.ts";
import type { Context } from "./context.ts";

/** Store.submit */
export async function submit({ data, keys }: Context, job: NewJob): Promise<JobRecord> {
  return recordIn(await data.script("submit", [...keys.shared, keys.job(job.id)], argsOf(job)));
}

/** Store.submitOnce */
export async function submitOnce(
  { data, keys }: Context,
  { job, key, digest }: SubmitOnceRequest,
): Promise<JobRecord | "mismatch"> {
  const answer = await data.script(
    "submit",
    [...keys.shared, keys.job(job.id), keys.once(key)],
    [...argsOf(job), digest, SUBMIT_ONCE_TTL_MS, keys.jobPrefix],
  );
  return answer === "mismatch" ? "mismatch" : recordIn(answer);
}

function argsOf(job: NewJob): readonly string[] {
  return [job.id, encodeNewJob(job), job.spec.priority];
}

function recordIn(fields: unknown): JobRecord {
  const record = decodeRecord(fields as readonly string[]);
  if (record === null) throw new AppError("internal", "Redis kept no record of a new job");
  return record;
}
