import { AppError } from "../../errors.ts";
import { type JobRecord, matchesFilter } from "../../jobs/job.ts";
import type { ListAnswer, ListRequest } from "../store.ts";
import { decodeRecord } from "./codec.ts";
import type { Context } from "./context.ts";

/** Store.get */
export async function get({ data, keys }: Context, id: string): Promise<JobRecord | null> {
  return decodeRecord(
    Object.entries(await data.run(async (client) => await client.hgetall(keys.job(id)))).flat(),
  );
}

/** Store.queuePosition */
export async function queuePosition({ data, keys }: Context, id: string): Promise<number | null> {
  const position = await data.script("position", [...keys.queues, keys.job(id)], [id]);
  return position === null ? null : Number(position);
}

/** How many records one call looks at, whatever its filter lets through. */
const SCANNED_PER_CALL = 200;

/** A place in the listing: just after (that is, older than) this member. */
interface Place {
  readonly score: string;
  readonly id: string;
}

/** Store.list. A filter is applied to SCANNED_PER_CALL records at most; what comes then is the next page's. */
export async function list(
  context: Context,
  { filter, limit, cursor }: ListRequest,
): Promise<ListAnswer> {
  const places = await placesAfter(context, cursor === undefined ? null : decodeCursor(cursor));
  const items: JobRecord[] = [];
  let last: Place | undefined;
  // In pieces, so that a short page of a long list does not fetch what it will not show.
  for (let start = 0; start < places.length && items.length < limit; start += limit) {
    const some = places.slice(start, start + limit);
    const records = await Promise.all(some.map(async ({ id }) => await get(context, id)));
    for (const [index, record] of records.entries()) {
      if (items.length === limit) break;
      last = some[index];
      // A null was removed meanwhile.
      if (record !== null && matchesFilter(record, filter)) items.push(record);
    }
  }
  const reachedEnd = places.length < SCANNED_PER_CALL && last === places.at(-1);
  return last === undefined || reachedEnd
    ? { items }
    : { items, nextCursor: `${last.score}_${last.id}` };
}

/** The next SCANNED_PER_CALL members of the listing, newest first; of one score the greater id comes first. */
async function placesAfter(
  { data, keys }: Context,
  after: Place | null,
): Promise<readonly Place[]> {
  return await data.run(async (client) => {
    const places: Place[] = [];
    const from = after === null ? "+inf" : after.score;
    for (let offset = 0; places.length < SCANNED_PER_CALL; offset += SCANNED_PER_CALL) {
      const range = ["BYSCORE", "REV", "LIMIT", offset, SCANNED_PER_CALL, "WITHSCORES"] as const;
      const flat = await client.zrange(keys.all, from, "-inf", ...range);
      for (let index = 0; index + 1 < flat.length; index += 2) {
        const place = { id: flat[index] ?? "", score: flat[index + 1] ?? "" };
        const passed = after !== null && place.score === after.score && place.id >= after.id;
        if (!passed && places.length < SCANNED_PER_CALL) places.push(place);
      }
      if (flat.length < 2 * SCANNED_PER_CALL) break;
    }
    return places;
  });
}

function decodeCursor(cursor: string): Place {
  const [, score, id] = /^(\d{1,20})_(.+)$/su.exec(cursor) ?? [];
  if (score === undefined || id === undefined)
    throw new AppError(
      "invalid_query",
      `The cursor ${JSON.stringify(cursor)} is not one that a page gave`,
    );
  return { score, id };
}
