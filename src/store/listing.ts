import { AppError } from "../errors.ts";
import { MIB } from "../jobs/limits.ts";

/**
 * A page of a listing ends with the record that brings the records looked at to this many bytes (JSON, UTF-8): a spec may
 * have a megabyte or two of arguments and standard input, an outcome the names of a thousand artifacts, and all records of
 * a page are in memory at once (I9).
 */
export const PAGE_RECORD_BYTES = 8 * MIB;

/** The answer to a cursor that no page of this driver can have given. */
export function invalidCursor(): AppError {
  return new AppError("invalid_query", "The cursor is not one that a page of this listing gave", {
    fields: [{ pointer: "/cursor", detail: "Not a cursor of this listing" }],
  });
}
