import type { Redis } from "ioredis";

import { type JobRecord, matchesFilter } from "../../jobs/job.ts";
import { invalidCursor, PAGE_RECORD_BYTES } from "../listing.ts";
import type { ListAnswer, ListRequest } from "../store.ts";
import { PRIORITY_HEAD_START_MS } from "../timing.ts";
import { decodeRecord } from "./codec.ts";
import type { Context } from "./context.ts";

/** Store.get */
export async function get(
  { data, keys }: Context,
  id: string,
  onlyOf: string | null = null,
): Promise<JobRecord | null> {
  // Before the record is read: another key's job, however large, is to cost what one does that is not there.
  if (onlyOf !== null && (await data.run((client) => client.hget(keys.job(id), "key"))) !== onlyOf)
    return null;
  return decodeRecord(
    Object.entries(await data.run(async (client) => await client.hgetall(keys.job(id)))).flat(),
  );
}

/** Store.queuePosition */
export async function queuePosition({ data, keys }: Context, id: string): Promise<number | null> {
  const position = await data.script(
    "position",
    [...keys.shared, keys.job(id)],
    [id, PRIORITY_HEAD_START_MS],
  );
  return position === null ? null : Number(position);
}

/** How many records one page looks at, whatever its filter lets through. */
const SCANNED_PER_PAGE = 200;

/** A place in the listing: just after (that is, older than) this member. */
interface Place {
  readonly score: string;
  readonly id: string;
}

/** Store.list */
export async function list(
  context: Context,
  { filter, limit, cursor, onlyOf = null }: ListRequest,
): Promise<ListAnswer> {
  const { keys } = context;
  const listing = onlyOf === null ? keys.all : keys.ofKey(onlyOf).jobs;
  const after = cursor === undefined ? null : decodeCursor(cursor);
  const places = await placesAfter(context, listing, after);
  const items: JobRecord[] = [];
  let last: Place | undefined;
  let leftBytes = PAGE_RECORD_BYTES;
  // In pieces, so that a short page of a long list does not fetch what it will not show.
  for (let start = 0; start < places.length; start += limit) {
    if (items.length === limit || leftBytes <= 0) break;
    const sizes = await recordSizes(context, places.slice(start, start + limit));
    const some = places.slice(start, start + countToFill(leftBytes, sizes));
    const records = await Promise.all(some.map(async ({ id }) => await get(context, id)));
    for (const [index, record] of records.entries()) {
      if (items.length === limit) break;
      last = some[index];
      // A null was removed meanwhile.
      if (record !== null && matchesFilter(record, filter)) items.push(record);
    }
    for (const size of sizes) leftBytes -= size;
  }
  const reachedEnd = places.length < SCANNED_PER_PAGE && last === places.at(-1);
  return last === undefined || reachedEnd
    ? { items }
    : { items, nextCursor: `${last.score}_${last.id}` };
}

/** The bytes of each place's spec and outcome, without fetching either; 0 of one that was removed meanwhile. */
async function recordSizes(
  { data, keys }: Context,
  places: readonly Place[],
): Promise<readonly number[]> {
  const sizeOf = async (client: Redis, id: string): Promise<number> => {
    const fields = ["job", "outcome"].map((field) => client.hstrlen(keys.job(id), field));
    return (await Promise.all(fields)).reduce((sum, size) => sum + size, 0);
  };
  return await data.run(
    async (client) => await Promise.all(places.map(async ({ id }) => await sizeOf(client, id))),
  );
}

/** How many of these, in their order, it takes to fill `bytes`; all of them when they do not. */
function countToFill(bytes: number, sizes: readonly number[]): number {
  let leftBytes = bytes;
  for (const [index, size] of sizes.entries()) {
    leftBytes -= size;
    if (leftBytes <= 0) return index + 1;
  }
  return sizes.length;
}

/** The next SCANNED_PER_PAGE members of a listing, newest first; of one score the greater id comes first. */
async function placesAfter(
  { data }: Context,
  listing: string,
  after: Place | null,
): Promise<readonly Place[]> {
  return await data.run(async (client) => {
    const places: Place[] = [];
    const from = after === null ? "+inf" : after.score;
    for (let offset = 0; places.length < SCANNED_PER_PAGE; offset += SCANNED_PER_PAGE) {
      const range = ["BYSCORE", "REV", "LIMIT", offset, SCANNED_PER_PAGE, "WITHSCORES"] as const;
      const flat = await client.zrange(listing, from, "-inf", ...range);
      for (let index = 0; index + 1 < flat.length; index += 2) {
        const place = { id: flat[index] ?? "", score: flat[index + 1] ?? "" };
        const passed = after !== null && place.score === after.score && place.id >= after.id;
        if (!passed && places.length < SCANNED_PER_PAGE) places.push(place);
      }
      if (flat.length < 2 * SCANNED_PER_PAGE) break;
    }
    return places;
  });
}

function decodeCursor(cursor: string): Place {
  const [, score, id] = /^(\d{1,20})_(.+)$/su.exec(cursor) ?? [];
  if (score === undefined || id === undefined) throw invalidCursor();
  return { score, id };
}
