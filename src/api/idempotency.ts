import { createHash } from "node:crypto";

import { AppError } from "../errors.ts";
import type { NewJob } from "../jobs/job.ts";

/*
 * Idempotency-Key on POST /jobs: however often a client repeats a request, there is one job. The key is stored with
 * the job, in one step, so there is no state "in flight" that a client could be stuck in: of two requests with one key
 * that arrive at the same time both are answered with the job that was stored first.
 */

const HEADER = "idempotency-key";
/**
 * Deeper and larger than any spec that becomes a job (jobs/spec.ts). What is more is refused, but only once its digest was
 * taken, which must need neither more stack than there is nor the time of everybody else.
 */
const MAX_LEVELS = 16;
const MAX_VALUES = 20_000;
/** Of an answer that is the first request's. */
export const REPLAYED_HEADER = "Idempotent-Replayed";

/**
 * What a client's key is stored as: not itself, for it may be long, and for each API key (null: none) apart, so that nobody
 * meets another's. null without the header. Throws `bad_request`.
 */
export function idempotencyKeyOf(request: Request, apiKeyId: string | null): string | null {
  const given = request.headers.get(HEADER);
  if (given === null) return null;
  if (!/^[\x21-\x7e]{1,255}$/.test(given)) {
    const detail = "Expected 1 to 255 visible ASCII characters, such as a UUID.";
    throw new AppError("bad_request", `Idempotency-Key: ${detail}`, {
      fields: [{ pointer: "/Idempotency-Key", detail }],
    });
  }
  // What was given has no space in it.
  return sha256(apiKeyId === null ? given : `${apiKeyId} ${given}`);
}

/**
 * The same for two requests that say the same: spec, paths and contents of the files. As they were sent, for a default or a
 * runtime that the server chooses may be another one by the time that a client tries again.
 */
export function digestOf({ spec, files }: { spec: unknown; files: NewJob["files"] }): string {
  const sent = files
    .map(({ path, role, sha256: hash }) => ({ path, role, hash }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  return sha256(canonicalJson(spec) + JSON.stringify(sent));
}

/** JSON in which the order of an object's keys does not count; of what is no spec by its size only the beginning does. */
function canonicalJson(value: unknown): string {
  let values = 0;
  /** Each object as an array of pairs, for an object would put names that look like numbers first. */
  const inOrder = (each: unknown, levels: number): unknown => {
    if (typeof each !== "object" || each === null) return each;
    const members = Array.isArray(each) ? each.length : Object.keys(each).length;
    values += members;
    if (levels === 0 || values > MAX_VALUES) return "too much";
    if (Array.isArray(each)) return each.map((member: unknown) => inOrder(member, levels - 1));
    return Object.entries(each)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]: [string, unknown]) => [name, inOrder(member, levels - 1)]);
  };
  return JSON.stringify(inOrder(value, MAX_LEVELS));
}

/** The refusal of a key that was used for another job. */
export function keyReused(): AppError {
  const detail = "The key was used for another request; a new request needs a key of its own.";
  return new AppError("idempotency_key_reused", `Idempotency-Key: ${detail}`, {
    fields: [{ pointer: "/Idempotency-Key", detail }],
  });
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
