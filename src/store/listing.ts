import { AppError } from "../errors.ts";
import type { JobFilter, JobRecord } from "../jobs/job.ts";
import { MIB } from "../jobs/limits.ts";

export interface ListRequest {
  readonly filter: JobFilter;
  /** 1..200. */
  readonly limit: number;
  /** `nextCursor` of the page before. */
  readonly cursor?: string;
  /** The API key whose jobs alone are looked at; absent or null: everybody's. Nothing of the answer tells of others then. */
  readonly onlyOf?: string | null;
}

export interface ListAnswer {
  /** Newest first. */
  readonly items: readonly JobRecord[];
  /** Absent on the last page. A page may be short, even empty, and still have a next one: see Store.list. */
  readonly nextCursor?: string;
}

/**
 * A page of a listing ends with the record that brings the records looked at to this many bytes (JSON, UTF-8): a spec may
 * have a megabyte or two of arguments and standard input, an outcome the names of a thousand artifacts, and all records of
 * a page are in memory at once (I9).
 */
export const PAGE_RECORD_BYTES = 8 * MIB;

/** The answer to a cursor that no page of this driver can have given. */
export function invalidCursor(): AppError {
  const detail = "It is not one that a page of this listing gave.";
  return new AppError("invalid_query", `/cursor: ${detail}`, {
    fields: [{ pointer: "/cursor", detail }],
  });
}
