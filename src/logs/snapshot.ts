import type { JobRecord } from "../jobs/job.ts";
import {
  compareEntryIds,
  ENTRY_MAX_BYTES,
  type EntryId,
  entryIdAfter,
  type Frame,
  FULL_ENTRY_MEMORY_BYTES,
  type LogEntry,
  type StreamName,
} from "../jobs/log-entry.ts";
import type { Store } from "../store/store.ts";
import { type AttemptSelection, firstEntry, lastEpoch } from "./attempt-selection.ts";

/** Of the store's entries, with what their objects weigh: four that are full. */
const PAGE_BYTES = 4 * FULL_ENTRY_MEMORY_BYTES;
/** What is handed on at once: the largest entry, or many that are small. */
const CHUNK_BYTES = ENTRY_MAX_BYTES;

type SnapshotStore = Pick<Store, "readLog" | "lastEntryId">;

/** A log as it was at one moment, to be read as often as need be: each time it is the same. */
export interface Snapshot {
  /** The entries in pages; while one is looked at, the next is read. Throws AppError `store_unavailable`. */
  pages(): AsyncGenerator<readonly LogEntry[]>;
}

/** Takes the snapshot: what the log holds at the moment of the call. Throws AppError `store_unavailable`. */
export async function openSnapshot(
  store: SnapshotStore,
  record: JobRecord,
  attempt: AttemptSelection,
): Promise<Snapshot> {
  const until = await store.lastEntryId(record.id);
  return {
    async *pages() {
      if (until !== null) yield* pagesUntil(store, record, { attempt, until });
    },
  };
}

async function* pagesUntil(
  store: SnapshotStore,
  record: JobRecord,
  { attempt, until }: { readonly attempt: AttemptSelection; readonly until: EntryId },
): AsyncGenerator<readonly LogEntry[]> {
  // An attempt that begins while this one is being read is not part of it.
  const latest = attempt === "latest" ? record.epochs.at(-1) : undefined;
  const lastSelected = latest ?? lastEpoch(record, attempt);
  const isSelected = (entry: EntryId) =>
    compareEntryIds(entry, until) <= 0 && (lastSelected === null || entry.epoch <= lastSelected);
  const readPage = async (from: EntryId) =>
    await store.readLog({ id: record.id, from, maxBytes: PAGE_BYTES });
  let reading = readPage(firstEntry(record, attempt));
  for (;;) {
    const page = await reading;
    const last = page.at(-1);
    if (last === undefined) return;
    const isOver = !isSelected(entryIdAfter(last));
    if (!isOver) {
      reading = readPage(entryIdAfter(last));
      // Awaited in the next round, if there is one; a client that leaves before need not hear of a failure.
      reading.catch(() => undefined);
    }
    yield page.filter(isSelected);
    if (isOver) return;
  }
}

/** A snapshot's bytes, in chunks: output only, of one stream or, where that is undefined, of all. */
export async function* readSnapshot(
  snapshot: Snapshot,
  stream: StreamName | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const page of snapshot.pages()) yield* inChunks(bytesOf(page, stream));
}

function* bytesOf(
  entries: readonly LogEntry[],
  stream: StreamName | undefined,
): Generator<Uint8Array> {
  for (const frame of framesOf(entries))
    if (stream === undefined || frame.stream === stream) yield frame.bytes;
}

/** What the program printed, of some entries. */
export function* framesOf(entries: readonly LogEntry[]): Generator<Frame> {
  for (const entry of entries) if (entry.kind === "frames") yield* entry.frames;
}

/** Joins what is small: a chunk has a price of its own, and a log may be one of single lines. Copies nothing that is large. */
function* inChunks(parts: Iterable<Uint8Array>): Generator<Uint8Array> {
  let small: Uint8Array[] = [];
  let bytes = 0;
  for (const part of parts) {
    if (bytes + part.length > CHUNK_BYTES && bytes > 0) {
      yield joined(small);
      [small, bytes] = [[], 0];
    }
    small.push(part);
    bytes += part.length;
  }
  if (bytes > 0) yield joined(small);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const only = parts.length === 1 ? parts[0] : undefined;
  return only ?? Buffer.concat(parts);
}
