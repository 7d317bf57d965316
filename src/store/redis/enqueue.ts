import { AppError } from "../../errors.ts";
import type { JobRecord, NewJob } from "../../jobs/job.ts";
import type { SubmitKey, SubmitOnceRequest } from "../store.ts";
import { SUBMIT_ONCE_TTL_MS } from "../timing.ts";
import { decodeRecord, encodeNewJob } from "./codec.ts";
import type { Context } from "./context.ts";
import { get } from "./query.ts";

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

/** Store.findSubmitted */
export async function findSubmitted(
  context: Context,
  { key, digest }: SubmitKey,
): Promise<JobRecord | "mismatch" | null> {
  const { data, keys } = context;
  const stored = await data.run(async (client) => await client.get(keys.once(key)));
  if (stored === null) return null;
  const [firstDigest, id = ""] = stored.split(" ");
  // The key outlives a job that was removed.
  const first = await get(context, id);
  return first === null || firstDigest === digest ? first : "mismatch";
}

function argsOf(job: NewJob): readonly string[] {
  return [job.id, encodeNewJob(job), job.spec.priority];
}

function recordIn(fields: unknown): JobRecord {
  const record = decodeRecord(fields as readonly string[]);
  if (record === null) throw new AppError("internal", "Redis kept no record of a new job");
  return record;
}
