import { AppError } from "../errors.ts";

/** Bytes [start, end) of a body of `sizeBytes`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * The one range that a `Range` header asks for (RFC 9110, section 14). null where the whole body is to be sent: no
 * header, a unit or a syntax that we do not know, or several ranges at once.
 * @throws AppError `range_not_satisfiable`
 */
export function parseByteRange(header: string | null, sizeBytes: number): ByteRange | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  const [, first = "", last = ""] = match ?? [];
  if (match === null || (first === "" && last === "")) return null;
  if (first !== "" && last !== "" && Number(last) < Number(first)) return null;
  const start = first === "" ? Math.max(sizeBytes - Number(last), 0) : Number(first);
  const end = first === "" || last === "" ? sizeBytes : Math.min(Number(last) + 1, sizeBytes);
  if (start >= end)
    throw new AppError(
      "range_not_satisfiable",
      `The range ${JSON.stringify(header)} is outside the ${sizeBytes} bytes of the file.`,
    );
  return { start, end };
}
