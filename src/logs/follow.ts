import type { JobRecord } from "../jobs/job.ts";
import { entryByteLength, type EntryId, entryIdAfter, type LogEntry } from "../jobs/log-entry.ts";
import { type AttemptSelection, firstEntry, lastEpoch } from "./attempt-selection.ts";
import { createEventCutter, type EventCutter } from "./cutter.ts";
import type { EventId, EventOptions, EventSink } from "./events.ts";
import type { LogHub } from "./hub.ts";

/*
 * A log as a live stream of events: history first, then what comes, without a gap or a duplicate between the two,
 * because both are the same reads of the same entries. Pull-based: nothing is read that the client has not asked for.
 */

/**
 * Makes the events of one step, `Events`, of what `give` hands to its sink; null where it hands on nothing. Synchronous.
 * Events become many times the size of what was printed, so a sink is full after a few.
 */
type FrameStep<Events> = (give: (sink: EventSink) => void) => Events | null;

export interface FollowRequest<Events> extends EventOptions {
  readonly id: string;
  readonly attempt: AttemptSelection;
  /** The last event that the client has; null: from the start. */
  readonly after: EventId | null;
  /** Without an event for this long, a heartbeat is yielded. */
  readonly heartbeatMs: number;
  readonly frame: FrameStep<Events>;
}

/** Some events, or a sign that nothing happened for a while. */
export type FollowStep<Events> =
  | { readonly kind: "events"; readonly events: Events }
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
export async function followLog<Events>(
  hub: LogHub,
  record: JobRecord,
  request: FollowRequest<Events>,
  signal: AbortSignal,
): Promise<typeof FINISHED | AsyncGenerator<FollowStep<Events>, FollowEnd>> {
  const start = await findStart(hub, record, request);
  if (start === FINISHED) return FINISHED;
  return follow(hub, request, { start, lastEpoch: lastEpoch(record, request.attempt), signal });
}

async function findStart(
  hub: LogHub,
  record: JobRecord,
  request: Pick<FollowRequest<unknown>, "id" | "attempt" | "after">,
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

interface FollowState {
  readonly start: Start;
  /** Not the record: a stream may last for hours, and a record may hold a megabyte of stdin. */
  readonly lastEpoch: number | null;
  readonly signal: AbortSignal;
}

async function* follow<Events>(
  hub: LogHub,
  request: FollowRequest<Events>,
  state: FollowState,
): AsyncGenerator<FollowStep<Events>, FollowEnd> {
  const { start, lastEpoch: last, signal } = state;
  if (start.isReset) yield { kind: "reset" };
  const reader = hub.open(request.id);
  const steps = new Steps(request, start.skipBytes);
  let { from } = start;
  let quietSinceMs = performance.now();
  try {
    for (;;) {
      // Asked before the read: a server that stops lets its readers have all there is.
      const isStopping = signal.aborted;
      const quietMs = performance.now() - quietSinceMs;
      const entries = await reader.next(from, Math.max(request.heartbeatMs - quietMs, 0), signal);
      if (entries === "gone") return "over";
      const page = upToLast(entries, last);
      steps.enter(page);
      for (let events = steps.next(); events !== null; events = steps.next()) {
        yield { kind: "events", events };
        quietSinceMs = performance.now();
      }
      const lastRead = page.at(-1);
      if (lastRead !== undefined) {
        if (isLast(lastRead, last)) return "over";
        from = entryIdAfter(lastRead);
        continue;
      }
      if (isStopping) return "stopped";
      if (performance.now() - quietSinceMs < request.heartbeatMs) continue;
      yield { kind: "heartbeat" };
      quietSinceMs = performance.now();
    }
  } finally {
    reader.close();
  }
}

/** Makes the steps of one stream. One object for all of them: an idle stream is to hold little. */
class Steps<Events> {
  readonly #cutter: EventCutter;
  readonly #frame: FrameStep<Events>;
  #entries: readonly LogEntry[] = [];
  #index = 0;
  #isInside = false;
  /** Of the first entry, what the client has. */
  #skipBytes: number;

  constructor(request: FollowRequest<Events>, skipBytes: number) {
    this.#cutter = createEventCutter(request);
    this.#frame = request.frame;
    this.#skipBytes = skipBytes;
  }

  /** Goes on to the entries that follow; of those before there are no more steps. */
  enter(entries: readonly LogEntry[]): void {
    this.#entries = entries;
    this.#index = 0;
  }

  /** null: the entries have no more. */
  next(): Events | null {
    while (this.#index < this.#entries.length) {
      const events = this.#frame(this.#give);
      if (events !== null) return events;
    }
    this.#entries = [];
    return null;
  }

  readonly #give = (sink: EventSink): void => {
    while (!sink.isFull) {
      const entry = this.#entries[this.#index];
      if (entry === undefined) return;
      if (!this.#isInside) this.#cutter.enter(entry, this.#skipBytes);
      this.#skipBytes = 0;
      this.#isInside = this.#cutter.cut(sink);
      if (!this.#isInside) this.#index++;
    }
  };
}

function upToLast(entries: readonly LogEntry[], last: number | null): readonly LogEntry[] {
  const index = entries.findIndex((entry) => isLast(entry, last));
  return index === -1 ? entries : entries.slice(0, index + 1);
}

/** A reader of one given attempt stops at the border to the next, whose marker tells why it ended. */
function isLast(entry: LogEntry, last: number | null): boolean {
  return entry.kind === "end" || (last !== null && entry.epoch > last);
}
