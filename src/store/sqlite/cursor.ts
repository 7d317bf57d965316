import { invalidCursor } from "../listing.ts";

/** A listing of all jobs goes on below the `n` of the last job looked at. */
export function encodeCursor(below: number): string {
  return below.toString();
}

/** Throws `invalid_query` for what encodeCursor never gave. */
export function decodeCursor(cursor: string): number {
  if (!/^[1-9][0-9]{0,14}$/.test(cursor)) throw invalidCursor();
  return Number(cursor);
}

/** The last job looked at of a listing of one API key's jobs, which goes on with the older ones. */
interface KeyPlace {
  readonly createdAtMs: number;
  readonly id: string;
}

/** An `n` would tell how many jobs others have submitted: this tells nothing but of the key's own job. */
export function encodeKeyCursor({ createdAtMs, id }: KeyPlace): string {
  return `${createdAtMs.toString()}_${id}`;
}

/** Throws `invalid_query` for what encodeKeyCursor never gave. */
export function decodeKeyCursor(cursor: string): KeyPlace {
  const [, createdAt, id] = /^(\d{1,15})_(.+)$/su.exec(cursor) ?? [];
  if (createdAt === undefined || id === undefined) throw invalidCursor();
  return { createdAtMs: Number(createdAt), id };
}
