import type { EntryId, LogEntry, StreamName } from "../jobs/log-entry.ts";

/*
 * The events of a stream, which cutter.ts makes of a log's entries. Pure: no store, no clock, no HTTP.
 *
 * An event's id is `<epoch>-<seq>.<offset>`, where offset counts the bytes of the entry's concatenated frames up to the
 * end of the event. That alone is enough to resume: the entry is read again and its bytes are skipped up to the offset.
 * (Ids that count lines are not: the count changes with the mode, and with a CR at a border.)
 */

/** Where an event ends in a log. */
export interface EventId extends EntryId {
  readonly offset: number;
}

export type EventMode = "plain" | "json";

export interface EventOptions {
  readonly mode: EventMode;
  /** Only this stream's bytes; both when absent. */
  readonly stream?: StreamName | undefined;
}

/** An entry that is an event by itself, with offset 0: an attempt begins, output was dropped, the job has ended. */
export type NoteEntry = Exclude<LogEntry, { kind: "frames" }>;

/** Bytes from `start` to `end`, exclusive: a view for each event would cost more than all else that is done with it. */
export interface ByteRange {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** Bytes of one stream, line end included. */
export interface Piece extends ByteRange {
  readonly stream: StreamName;
  /** Whether they are valid UTF-8. */
  readonly isText: boolean;
}

/**
 * Takes events in the order of the log. They are no objects of their own, for a log has millions: what an event is made
 * of is good during the call only.
 */
export interface EventSink {
  /** Nothing more for now: first what was taken is to be passed on. */
  readonly isFull: boolean;
  /** Plain mode: one line, its end cut off: valid UTF-8 without a CR or LF. */
  line(id: EventId, line: ByteRange): void;
  /** JSON mode. */
  piece(id: EventId, piece: Piece): void;
  note(note: NoteEntry): void;
}

export function formatEventId(id: EventId): string {
  return `${id.epoch}-${id.seq}.${id.offset}`;
}

/** null for anything that formatEventId did not make. */
export function parseEventId(text: string): EventId | null {
  const match = /^(\d{1,16})-(\d{1,16})\.(\d{1,16})$/.exec(text);
  if (match === null) return null;
  const [epoch, seq, offset] = match.slice(1).map(Number);
  if (epoch === undefined || seq === undefined || offset === undefined) return null;
  return [epoch, seq, offset].every(Number.isSafeInteger) ? { epoch, seq, offset } : null;
}
