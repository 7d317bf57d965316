import type { JobRecord } from "../jobs/job.ts";
import {
  compareEntryIds,
  ENTRY_MAX_BYTES,
  type EntryId,
  entryIdAfter,
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

interface SnapshotRequest {
  readonly attempt: AttemptSelection;
  /** Only this stream's bytes; both when undefined. */
  readonly stream: StreamName | undefined;
}

/**
 * Bytes of a snapshot's stream, in chunks: what the log holds at the moment of the call, program output only. While the
 * client takes one page of the log, the next is read.
 */
export async function* readSnapshot(
  store: Pick<Store, "readLog" | "lastEntryId">,
  record: JobRecord,
  request: SnapshotRequest,
): AsyncGenerator<Uint8Array> {
  const until = await store.lastEntryId(record.id);
  if (until === null) return;
  // An attempt that begins while this one is being read is not part of it.
  const latest = request.attempt === "latest" ? record.epochs.at(-1) : undefined;
  const lastSelected = latest ?? lastEpoch(record, request.attempt);
  const isSelected = (entry: EntryId) =>
    compareEntryIds(entry, until) <= 0 && (lastSelected === null || entry.epoch <= lastSelected);
  const readPage = async (from: EntryId) =>
    await store.readLog({ id: record.id, from, maxBytes: PAGE_BYTES });
  let reading = readPage(firstEntry(record, request.attempt));
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
    yield* inChunks(framesOf(page.filter(isSelected), request.stream));
    if (isOver) return;
  }
}

function* framesOf(
  entries: readonly LogEntry[],
  stream: StreamName | undefined,
): Generator<Uint8Array> {
  for (const entry of entries)
    for (const frame of entry.kind === "frames" ? entry.frames : [])
      if (stream === undefined || frame.stream === stream) yield frame.bytes;
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
