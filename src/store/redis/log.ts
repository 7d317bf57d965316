import { entryMemoryBytes, type EntryId, type LogEntry } from "../../jobs/log-entry.ts";
import type { AppendAnswer, AppendRequest, ReadLogRequest } from "../store.ts";
import { decodeEntry, decodeEntryId, encodeBody, encodeEntryId } from "./codec.ts";
import type { Context } from "./context.ts";

/** Results of append.lua that are no seq. */
const FENCED = -1;
const STORED = -2;

/** Store.append */
export async function append(
  { data, keys, timing }: Context,
  request: AppendRequest,
): Promise<AppendAnswer> {
  const { id, owner, epoch, seq, body, log } = request;
  const answer = await data.script(
    "append",
    [...keys.shared, keys.job(id), keys.log(id)],
    [id, owner, epoch, timing.leaseMs, seq, log.bytes, log.droppedBytes, ...encodeBody(body)],
  );
  if (answer === FENCED) return { kind: "fenced" };
  return answer === STORED ? { kind: "stored" } : { kind: "behind", lastSeq: Number(answer) };
}

/** Of one reply. */
const MAX_PAGE_ENTRIES = 512;

/**
 * Store.readLog. Entries are 64 KiB at most, and often far smaller, and only the server knows: so the first is fetched
 * alone, and then as many as fit if all are like those seen so far. A reply is never larger than what it is asked for.
 */
export async function readLog(
  context: Context,
  request: ReadLogRequest,
): Promise<readonly LogEntry[]> {
  const entries: LogEntry[] = [];
  let bytes = 0;
  let from = encodeEntryId(request.from);
  for (let count = 1; count > 0;) {
    const page = await readPage(context, { id: request.id, from, count });
    for (const entry of page) {
      bytes += entryMemoryBytes(entry);
      if (bytes > request.maxBytes && entries.length > 0) return entries;
      entries.push(entry);
      // Exclusive from here on (Redis 6.2).
      from = `(${encodeEntryId(entry)}`;
    }
    if (page.length < count) return entries;
    const room = Math.floor((request.maxBytes - bytes) / (bytes / entries.length));
    count = Math.min(room, MAX_PAGE_ENTRIES);
  }
  return entries;
}

async function readPage(
  { data, keys }: Context,
  page: { readonly id: string; readonly from: string; readonly count: number },
): Promise<readonly LogEntry[]> {
  const items = await data.run(
    async (client) =>
      await client.xrangeBuffer(keys.log(page.id), page.from, "+", "COUNT", page.count),
  );
  return items.map(decodeEntry);
}

/** Store.lastEntryId */
export async function lastEntryId({ data, keys }: Context, id: string): Promise<EntryId | null> {
  const [item] = await data.run(
    async (client) => await client.xrevrangeBuffer(keys.log(id), "+", "-", "COUNT", 1),
  );
  return item === undefined ? null : decodeEntryId(item[0].toString());
}
