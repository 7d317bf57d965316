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

/** Of one reply: 4 MiB where all are full (ENTRY_MAX_BYTES). */
const MAX_PAGE_ENTRIES = 64;
/** What was seen tells little of what follows: a log begins with a marker of a few bytes, and a program may be quiet before a flood. */
const MAX_GROWTH = 4;

/**
 * Store.readLog. How large entries are only the server knows, and most take far less than they may: so the first is fetched
 * alone, and then as many as fit if all are like those seen so far, but never many times more than were seen. A reply may be
 * larger than its page, by no more than MAX_PAGE_ENTRIES full entries.
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
    count = Math.min(room, MAX_GROWTH * entries.length, MAX_PAGE_ENTRIES);
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
