import { invalidCursor } from "../listing.ts";

/** A listing goes on below the `n` of the last job looked at. */
export function encodeCursor(below: number): string {
  return below.toString();
}

/** Throws `invalid_query` for what encodeCursor never gave. */
export function decodeCursor(cursor: string): number {
  if (!/^[1-9][0-9]{0,14}$/.test(cursor)) throw invalidCursor();
  return Number(cursor);
}
