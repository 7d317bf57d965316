import type { AttemptReason, EndNote, EntryId, LogEntry, StreamName } from "../jobs/log-entry.ts";
import { isContinuation } from "./utf8.ts";

/*
 * From log entries to the events of a stream. Pure: no store, no clock, no HTTP.
 *
 * An event's id is `<epoch>-<seq>.<offset>`, where offset counts the bytes of the entry's concatenated frames up to the
 * end of the event. That alone is enough to resume: the entry is read again and its bytes are skipped up to the offset.
 * (Ids that count lines are not: the count changes with the mode, and with a CR at a border.)
 */

/** Where an event ends in a log. */
export interface EventId extends EntryId {
  readonly offset: number;
}

export type LogEvent =
  /** Plain mode: one line, its end cut off. */
  | { readonly kind: "line"; readonly id: EventId; readonly text: string }
  /** JSON mode: bytes of one stream, line end included, as text or (not valid UTF-8) as they are. */
  | {
      readonly kind: "piece";
      readonly id: EventId;
      readonly stream: StreamName;
      readonly content: { readonly text: string } | { readonly bytes: Uint8Array };
    }
  | {
      readonly kind: "attempt";
      readonly id: EventId;
      readonly attempt: number;
      readonly reason: AttemptReason | null;
    }
  | { readonly kind: "gap"; readonly id: EventId; readonly droppedBytes: number }
  | { readonly kind: "end"; readonly id: EventId; readonly end: EndNote };

export type EventMode = "plain" | "json";

export interface EventOptions {
  readonly mode: EventMode;
  /** Only this stream's bytes; both when absent. */
  readonly stream?: StreamName | undefined;
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

/** Turns entries, given in order, into events. */
export interface EventCutter {
  /**
   * The events that `entry` completes, made one by one as they are asked for: an entry of newlines holds 65,536 of them.
   * To be read to their end before the next push. `skipBytes`: of a log resumed inside this entry, what the client has.
   */
  push(entry: LogEntry, skipBytes?: number): Generator<LogEvent>;
}

/** A cutter for one reader; it remembers an unfinished line between entries, at most 64 KiB of it. */
export function createEventCutter(options: EventOptions): EventCutter {
  const cut = options.mode === "plain" ? new LineCutter() : new PieceCutter();
  return {
    *push(entry, skipBytes = 0) {
      if (entry.kind !== "frames") {
        yield* cut.flush();
        yield note(entry, { epoch: entry.epoch, seq: entry.seq, offset: 0 });
        return;
      }
      let offset = 0;
      for (const { stream, bytes } of entry.frames) {
        const start = Math.min(Math.max(skipBytes - offset, 0), bytes.length);
        const position = { epoch: entry.epoch, seq: entry.seq, offset };
        offset += bytes.length;
        if (options.stream !== undefined && stream !== options.stream) continue;
        if (start > 0) cut.skipped(bytes[start - 1] ?? 0);
        if (start < bytes.length) yield* cut.frame(stream, bytes, start, position);
      }
    },
  };
}

function note(entry: Exclude<LogEntry, { kind: "frames" }>, id: EventId): LogEvent {
  switch (entry.kind) {
    case "attempt":
      return { kind: "attempt", id, attempt: entry.attempt, reason: entry.reason };
    case "gap":
      return { kind: "gap", id, droppedBytes: entry.droppedBytes };
    case "end":
      return { kind: "end", id, end: entry.end };
  }
}

const LF = 0x0a;
const CR = 0x0d;
/** A line without an end is cut when it has grown to this; a reader's memory is bounded by it. */
const MAX_LINE_BYTES = 64 * 1024;

const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** Plain mode: an event at LF, CR, CRLF, at MAX_LINE_BYTES without one, and wherever something else than output follows. */
class LineCutter {
  /** The unfinished line, and where it ends so far. */
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #pendingEnd: EventId | null = null;
  /** The last byte was a CR: an LF that comes next belongs to it. */
  #afterCr = false;

  skipped(lastByte: number): void {
    this.#afterCr = lastByte === CR;
  }

  *frame(
    _stream: StreamName,
    bytes: Uint8Array,
    from: number,
    frameStart: EventId,
  ): Generator<LogEvent> {
    const idAt = (index: number): EventId => ({ ...frameStart, offset: frameStart.offset + index });
    let lineStart = from;
    if (this.#afterCr && bytes[from] === LF) lineStart++;
    this.#afterCr = false;
    let nextLf = bytes.indexOf(LF, lineStart);
    let nextCr = bytes.indexOf(CR, lineStart);
    while (lineStart < bytes.length) {
      if (nextLf !== -1 && nextLf < lineStart) nextLf = bytes.indexOf(LF, lineStart);
      if (nextCr !== -1 && nextCr < lineStart) nextCr = bytes.indexOf(CR, lineStart);
      const lineEnd = Math.min(
        nextLf === -1 ? bytes.length : nextLf,
        nextCr === -1 ? bytes.length : nextCr,
      );
      const room = Math.max(MAX_LINE_BYTES - this.#pendingBytes, 0);
      const tooLong = cutPoint(bytes, lineStart + room, lineEnd);
      if (tooLong !== null) {
        this.#keep(bytes.subarray(lineStart, tooLong), idAt(tooLong));
        yield this.#line(idAt(tooLong));
        lineStart = tooLong;
        continue;
      }
      this.#keep(bytes.subarray(lineStart, lineEnd), idAt(lineEnd));
      if (lineEnd === bytes.length) return;
      const isCrLf = bytes[lineEnd] === CR && bytes[lineEnd + 1] === LF;
      lineStart = lineEnd + (isCrLf ? 2 : 1);
      yield this.#line(idAt(lineStart));
      this.#afterCr = lineStart === bytes.length && bytes[lineEnd] === CR && !isCrLf;
    }
  }

  *flush(): Generator<LogEvent> {
    if (this.#pendingEnd !== null) yield this.#line(this.#pendingEnd);
    this.#afterCr = false;
  }

  #keep(bytes: Uint8Array, end: EventId): void {
    if (bytes.length === 0) return;
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    this.#pendingEnd = end;
  }

  #line(id: EventId): LogEvent {
    const only = this.#pending.length === 1 ? this.#pending[0] : undefined;
    const text = lenient.decode(only ?? Buffer.concat(this.#pending));
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#pendingEnd = null;
    return { kind: "line", id, text };
  }
}

/**
 * Where to cut a line that would otherwise grow past `limit` before it ends at `lineEnd`: at the first character border
 * from `limit` on, or null when the line is short enough.
 */
function cutPoint(bytes: Uint8Array, limit: number, lineEnd: number): number | null {
  let point = limit;
  while (point < lineEnd && point < limit + 3 && isContinuation(bytes[point] ?? 0)) point++;
  return point < lineEnd ? point : null;
}

/** JSON mode: lossless. Cut at LF and at the end of a frame only, so that an unfinished line goes at once. */
class PieceCutter {
  skipped(_lastByte: number): void {
    // Every byte belongs to exactly one piece: nothing to swallow.
  }

  *frame(
    stream: StreamName,
    bytes: Uint8Array,
    from: number,
    frameStart: EventId,
  ): Generator<LogEvent> {
    for (let start = from; start < bytes.length;) {
      const lf = bytes.indexOf(LF, start);
      const end = lf === -1 ? bytes.length : lf + 1;
      const id = { ...frameStart, offset: frameStart.offset + end };
      yield { kind: "piece", id, stream, content: decodeStrictly(bytes.subarray(start, end)) };
      start = end;
    }
  }

  *flush(): Generator<LogEvent> {
    // No piece is ever held back.
  }
}

function decodeStrictly(bytes: Uint8Array): { text: string } | { bytes: Uint8Array } {
  try {
    return { text: strict.decode(bytes) };
  } catch {
    return { bytes };
  }
}
