import { AppError } from "../errors.ts";
import type { JobRecord } from "../jobs/job.ts";
import {
  compareEntryIds,
  type EntryId,
  framesByteLength,
  type LogEntry,
} from "../jobs/log-entry.ts";
import { pause } from "../lifecycle.ts";
import type { Store } from "../store/store.ts";
import { createEventCutter, type EventId, type EventOptions, type LogEvent } from "./events.ts";

/*
 * A log as a live stream of events: history first, then what comes, without a gap or a duplicate between the two,
 * because both are the same reads of the same entries. Pull-based: nothing is read that the client has not asked for.
 */

/** A snapshot reads the store in pages of about this size; it hands on the bytes as they are. */
const SNAPSHOT_PAGE_BYTES = 256 * 1024;
/** A stream's page stays in memory for as long as its client does not read. */
const STREAM_PAGE_BYTES = 64 * 1024;
/** Events become many times the size of what was printed, so a step is a few at a time. */
const STEP_EVENTS = 500;
/** A store that is away is asked again this often. */
const OUTAGE_PAUSE_MS = 500;

/** What following a log needs of a source. */
export type LogSource = Pick<Store, "get" | "readLog" | "lastEntryId" | "waitForEntries">;

/** Which attempts a reader sees: the latest, the n-th, or all of them in order. */
export type AttemptSelection = "latest" | "all" | number;

export interface FollowRequest extends EventOptions {
  readonly id: string;
  readonly attempt: AttemptSelection;
  /** The last event that the client has; null: from the start. */
  readonly after: EventId | null;
  /** Without an event for this long, a heartbeat is yielded. */
  readonly heartbeatMs: number;
}

/** Some events, or a sign that nothing happened for a while. */
export type FollowStep =
  | { readonly kind: "events"; readonly events: readonly LogEvent[] }
  /** The client's position no longer exists: what follows starts the current attempt anew. */
  | { readonly kind: "reset" }
  | { readonly kind: "heartbeat" };

/** The client's last event was the stream's end: there is nothing to come, ever. */
export const FINISHED = Symbol("finished");

interface Start {
  readonly from: EntryId;
  readonly skipBytes: number;
  readonly isReset: boolean;
}

/**
 * Opens a stream on the log of `record`. Resolves to FINISHED where a client only reconnects to a stream that has ended.
 * The generator returns after the end event, when the job is removed, or, once all there is has been read, after `signal`.
 */
export async function followLog(
  source: LogSource,
  record: JobRecord,
  request: FollowRequest,
  signal: AbortSignal,
): Promise<typeof FINISHED | AsyncGenerator<FollowStep>> {
  const start = await findStart(source, record, request);
  return start === FINISHED ? FINISHED : follow(source, request, { start, record, signal });
}

async function findStart(
  source: LogSource,
  record: JobRecord,
  request: FollowRequest,
): Promise<Start | typeof FINISHED> {
  const first = firstEntry(record, request.attempt);
  const fresh = { from: first, skipBytes: 0, isReset: false };
  const { after } = request;
  if (after === null) return fresh;
  const last = lastEpoch(record, request.attempt);
  if (last !== null && after.epoch > last && record.epochs.includes(after.epoch)) return FINISHED;
  const isSelected = after.epoch >= first.epoch && (last === null || after.epoch <= last);
  const [entry] = isSelected
    ? await source.readLog({ id: request.id, from: after, maxBytes: 1 })
    : [];
  if (entry === undefined || compareEntryIds(entry, after) !== 0 || after.offset > sizeOf(entry))
    return { ...fresh, isReset: true };
  if (entry.kind === "end") return FINISHED;
  if (entry.kind === "frames") return { from: after, skipBytes: after.offset, isReset: false };
  return { from: { epoch: after.epoch, seq: after.seq + 1 }, skipBytes: 0, isReset: false };
}

function sizeOf(entry: LogEntry): number {
  return entry.kind === "frames" ? framesByteLength(entry.frames) : 0;
}

/** Where the selected attempts begin. */
function firstEntry(record: JobRecord, attempt: AttemptSelection): EntryId {
  if (attempt === "all") return { epoch: 0, seq: 0 };
  const epoch = attempt === "latest" ? record.epochs.at(-1) : record.epochs[attempt - 1];
  return { epoch: epoch ?? 0, seq: 0 };
}

/** The epoch that a reader of one given attempt stops after; null when it goes on to the log's end, whatever comes. */
function lastEpoch(record: JobRecord, attempt: AttemptSelection): number | null {
  return typeof attempt === "number" ? (record.epochs[attempt - 1] ?? null) : null;
}

interface FollowState {
  readonly start: Start;
  readonly record: JobRecord;
  readonly signal: AbortSignal;
}

async function* follow(
  source: LogSource,
  request: FollowRequest,
  { start, record, signal }: FollowState,
): AsyncGenerator<FollowStep> {
  if (start.isReset) yield { kind: "reset" };
  const cutter = createEventCutter(request);
  let { from, skipBytes } = start;
  let lastRead: EntryId | null = from.seq > 0 ? { epoch: from.epoch, seq: from.seq - 1 } : null;
  let quietSinceMs = performance.now();
  let isOver = false;
  function* eventsOf(entries: readonly LogEntry[]): Generator<LogEvent> {
    for (const entry of entries) {
      yield* cutter.push(entry, skipBytes);
      skipBytes = 0;
      lastRead = { epoch: entry.epoch, seq: entry.seq };
      from = { epoch: entry.epoch, seq: entry.seq + 1 };
      isOver = isLast(entry, record, request.attempt);
      if (isOver) return;
    }
  }

  for (;;) {
    const entries = await readPage(source, request.id, from);
    if (typeof entries !== "string")
      for (const events of inSteps(eventsOf(entries))) {
        yield { kind: "events", events };
        quietSinceMs = performance.now();
      }
    if (isOver) return;
    if (typeof entries !== "string" && entries.length > 0) continue;
    // Only here, where everything is read: a server that stops lets its readers have what there is.
    if (signal.aborted || entries === "gone") return;
    const timeoutMs = quietSinceMs + request.heartbeatMs - performance.now();
    if (timeoutMs <= 0) {
      yield { kind: "heartbeat" };
      quietSinceMs = performance.now();
    } else if (entries === "away") await pause(Math.min(timeoutMs, OUTAGE_PAUSE_MS), signal);
    else await source.waitForEntries({ id: request.id, after: lastRead, timeoutMs }, signal);
  }
}

function* inSteps(events: Iterable<LogEvent>): Generator<LogEvent[]> {
  let step: LogEvent[] = [];
  for (const event of events) {
    step.push(event);
    if (step.length < STEP_EVENTS) continue;
    yield step;
    step = [];
  }
  if (step.length > 0) yield step;
}

/**
 * The next entries; none yet; `gone` where the job was removed. `away` while the store does not answer: a stream that
 * broke off then would come back to a 503, after which an EventSource gives up for good.
 */
async function readPage(
  source: LogSource,
  id: string,
  from: EntryId,
): Promise<readonly LogEntry[] | "gone" | "away"> {
  try {
    const entries = await source.readLog({ id, from, maxBytes: STREAM_PAGE_BYTES });
    return entries.length === 0 && (await source.get(id)) === null ? "gone" : entries;
  } catch (error) {
    if (error instanceof AppError && error.code === "store_unavailable") return "away";
    throw error;
  }
}

/** A reader of one given attempt stops at the border to the next, whose marker tells why it ended. */
function isLast(entry: LogEntry, record: JobRecord, attempt: AttemptSelection): boolean {
  const last = lastEpoch(record, attempt);
  return entry.kind === "end" || (last !== null && entry.epoch > last);
}

/** Bytes of a snapshot's stream, in pages: what the log holds at the moment of the call, program output only. */
export async function* readSnapshot(
  source: LogSource,
  record: JobRecord,
  request: Pick<FollowRequest, "attempt" | "stream">,
): AsyncGenerator<Uint8Array> {
  const until = await source.lastEntryId(record.id);
  // An attempt that begins while this one is being read is not part of it.
  const latest = request.attempt === "latest" ? record.epochs.at(-1) : undefined;
  const lastSelected = latest ?? lastEpoch(record, request.attempt);
  let from = firstEntry(record, request.attempt);
  while (until !== null && compareEntryIds(from, until) <= 0) {
    const entries = await source.readLog({ id: record.id, from, maxBytes: SNAPSHOT_PAGE_BYTES });
    for (const entry of entries) {
      if (compareEntryIds(entry, until) > 0) return;
      if (lastSelected !== null && entry.epoch > lastSelected) return;
      from = { epoch: entry.epoch, seq: entry.seq + 1 };
      if (entry.kind !== "frames") continue;
      for (const frame of entry.frames)
        if (request.stream === undefined || frame.stream === request.stream) yield frame.bytes;
    }
    if (entries.length === 0) return;
  }
}
