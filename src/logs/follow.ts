import type { JobRecord } from "../jobs/job.ts";
import {
  compareEntryIds,
  entryByteLength,
  type EntryId,
  entryIdAfter,
  type LogEntry,
} from "../jobs/log-entry.ts";
import type { Store } from "../store/store.ts";
import { createEventCutter, type EventId, type EventOptions, type LogEvent } from "./events.ts";
import type { LogHub, LogReader } from "./hub.ts";

/*
 * A log as a live stream of events: history first, then what comes, without a gap or a duplicate between the two,
 * because both are the same reads of the same entries. Pull-based: nothing is read that the client has not asked for.
 */

/** A snapshot reads the store in pages of about this size; it hands on the bytes as they are. */
const SNAPSHOT_PAGE_BYTES = 256 * 1024;
/** Events become many times the size of what was printed, so a step is a few at a time. */
const STEP_EVENTS = 500;

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

/** Why there are no more steps: nothing will ever follow, or the log goes on and only this stream was told to stop. */
export type FollowEnd = "over" | "stopped";

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
  hub: LogHub,
  record: JobRecord,
  request: FollowRequest,
  signal: AbortSignal,
): Promise<typeof FINISHED | AsyncGenerator<FollowStep, FollowEnd>> {
  const start = await findStart(hub, record, request);
  return start === FINISHED ? FINISHED : follow(hub, request, { start, record, signal });
}

async function findStart(
  hub: LogHub,
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
  const entry = isSelected ? await hub.find(request.id, after) : null;
  if (entry === null || after.offset > entryByteLength(entry)) return { ...fresh, isReset: true };
  if (entry.kind === "end") return FINISHED;
  if (entry.kind === "frames") return { from: after, skipBytes: after.offset, isReset: false };
  return { from: entryIdAfter(after), skipBytes: 0, isReset: false };
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
  hub: LogHub,
  request: FollowRequest,
  state: FollowState,
): AsyncGenerator<FollowStep, FollowEnd> {
  if (state.start.isReset) yield { kind: "reset" };
  const reader = hub.open(request.id);
  try {
    return yield* readOn(reader, request, state);
  } finally {
    reader.close();
  }
}

async function* readOn(
  reader: LogReader,
  request: FollowRequest,
  { start, record, signal }: FollowState,
): AsyncGenerator<FollowStep, FollowEnd> {
  const cutter = createEventCutter(request);
  let { from, skipBytes } = start;
  let quietSinceMs = performance.now();
  let isOver = false;
  function* eventsOf(entries: readonly LogEntry[]): Generator<LogEvent> {
    for (const entry of entries) {
      yield* cutter.push(entry, skipBytes);
      skipBytes = 0;
      from = entryIdAfter(entry);
      isOver = isLast(entry, record, request.attempt);
      if (isOver) return;
    }
  }

  for (;;) {
    // Asked before the read: a server that stops lets its readers have all there is.
    const isStopping = signal.aborted;
    const quietMs = performance.now() - quietSinceMs;
    const entries = await reader.next(from, Math.max(request.heartbeatMs - quietMs, 0), signal);
    if (entries === "gone") return "over";
    for (const events of inSteps(eventsOf(entries))) {
      yield { kind: "events", events };
      quietSinceMs = performance.now();
    }
    if (isOver) return "over";
    if (entries.length > 0) continue;
    if (isStopping) return "stopped";
    if (performance.now() - quietSinceMs < request.heartbeatMs) continue;
    yield { kind: "heartbeat" };
    quietSinceMs = performance.now();
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

/** A reader of one given attempt stops at the border to the next, whose marker tells why it ended. */
function isLast(entry: LogEntry, record: JobRecord, attempt: AttemptSelection): boolean {
  const last = lastEpoch(record, attempt);
  return entry.kind === "end" || (last !== null && entry.epoch > last);
}

/** Bytes of a snapshot's stream, in pages: what the log holds at the moment of the call, program output only. */
export async function* readSnapshot(
  store: Pick<Store, "readLog" | "lastEntryId">,
  record: JobRecord,
  request: Pick<FollowRequest, "attempt" | "stream">,
): AsyncGenerator<Uint8Array> {
  const until = await store.lastEntryId(record.id);
  // An attempt that begins while this one is being read is not part of it.
  const latest = request.attempt === "latest" ? record.epochs.at(-1) : undefined;
  const lastSelected = latest ?? lastEpoch(record, request.attempt);
  let from = firstEntry(record, request.attempt);
  while (until !== null && compareEntryIds(from, until) <= 0) {
    const entries = await store.readLog({ id: record.id, from, maxBytes: SNAPSHOT_PAGE_BYTES });
    for (const entry of entries) {
      if (compareEntryIds(entry, until) > 0) return;
      if (lastSelected !== null && entry.epoch > lastSelected) return;
      from = entryIdAfter(entry);
      if (entry.kind !== "frames") continue;
      for (const frame of entry.frames)
        if (request.stream === undefined || frame.stream === request.stream) yield frame.bytes;
    }
    if (entries.length === 0) return;
  }
}
