import { AppError } from "../../errors.ts";
import type { JobRecord, NewJob } from "../../jobs/job.ts";
import { NO_LIMITS, SUBMITS_WINDOW_MS, type SubmitLimits } from "../../jobs/quotas.ts";
import type { SubmitKey, SubmitOnceRequest } from "../store.ts";
import { SUBMIT_ONCE_TTL_MS } from "../timing.ts";
import { decodeRecord, encodeNewJob } from "./codec.ts";
import type { Context } from "./context.ts";
import type { Keys } from "./keys.ts";
import { get } from "./query.ts";
import { throwWhereRefused } from "./quota.ts";

/** Store.submit */
export async function submit(
  { data, keys }: Context,
  job: NewJob,
  limits: SubmitLimits = NO_LIMITS,
): Promise<JobRecord> {
  const answer = await data.script(
    "submit",
    [...keys.shared, keys.job(job.id)],
    argsOf(keys, job, limits),
  );
  throwWhereRefused(answer, limits);
  return recordIn(answer);
}

/** Store.submitOnce */
export async function submitOnce(
  { data, keys }: Context,
  { job, key, digest, limits = NO_LIMITS }: SubmitOnceRequest,
): Promise<JobRecord | "mismatch"> {
  const answer = await data.script(
    "submit",
    [...keys.shared, keys.job(job.id), keys.once(key)],
    [...argsOf(keys, job, limits), digest, SUBMIT_ONCE_TTL_MS, keys.jobPrefix],
  );
  throwWhereRefused(answer, limits);
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

function argsOf(keys: Keys, job: NewJob, limits: SubmitLimits): readonly (string | number)[] {
  const { maxQueued, maxActive, submitsPerMinute, cpuSecPerDay } = limits;
  return [
    job.id,
    encodeNewJob(job),
    job.spec.priority,
    job.keyId ?? "",
    maxQueued ?? "",
    maxActive ?? "",
    submitsPerMinute ?? "",
    cpuSecPerDay === null ? "" : cpuSecPerDay * 1000,
    SUBMITS_WINDOW_MS,
    job.spec.callbackUrl === undefined ? "" : keys.callbacks,
  ];
}

function recordIn(fields: unknown): JobRecord {
  const record = decodeRecord(fields as readonly string[]);
  if (record === null) throw new AppError("internal", "Redis kept no record of a new job");
  return record;
}
