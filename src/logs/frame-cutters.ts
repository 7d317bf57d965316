import { isUtf8 } from "node:buffer";

import type { Frame } from "../jobs/log-entry.ts";
import type { ByteRange, EventId, EventSink } from "./events.ts";
import { isContinuation } from "./utf8.ts";

/** A frame and where in the log it begins. */
export interface PlacedFrame extends Frame, EventId {
  /** Whether what is cut of it is valid UTF-8. Then so are its parts, for none is cut inside a character. */
  readonly isText: boolean;
}

/** Cuts the frames of one mode, and keeps what is not complete. */
export interface FrameCutter {
  /** What comes next follows this byte, which the client has. */
  skipped(lastByte: number): void;
  /** Cuts a frame from `start` on, until its end or until `sink` is full. Returns where it has stopped. */
  cut(frame: PlacedFrame, start: number, sink: EventSink): number;
  /** What is kept is complete: something else than output follows. */
  flush(sink: EventSink): void;
}

const LF = 0x0a;
const CR = 0x0d;
/** A line without an end is cut when it has grown to this; a reader's memory is bounded by it. */
const MAX_LINE_BYTES = 64 * 1024;

const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** Plain mode: an event at LF, CR, CRLF, at MAX_LINE_BYTES without one, and wherever something else than output follows. */
export class LineCutter implements FrameCutter {
  /** The unfinished line, where it ends so far, and whether all of it is valid UTF-8. */
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #pendingEnd: EventId | null = null;
  #isPendingText = true;
  /** The last byte was a CR: an LF that comes next belongs to it. */
  #afterCr = false;

  skipped(lastByte: number): void {
    this.#afterCr = lastByte === CR;
  }

  cut(frame: PlacedFrame, start: number, sink: EventSink): number {
    const { bytes } = frame;
    let lineStart = start;
    if (this.#afterCr && bytes[start] === LF) lineStart++;
    this.#afterCr = false;
    let [nextLf, nextCr] = [-1, -1];
    while (lineStart < bytes.length && !sink.isFull) {
      if (nextLf < lineStart) nextLf = indexOrEnd(bytes, LF, lineStart);
      if (nextCr < lineStart) nextCr = indexOrEnd(bytes, CR, lineStart);
      const lineEnd = Math.min(nextLf, nextCr);
      const room = Math.max(MAX_LINE_BYTES - this.#pendingBytes, 0);
      const tooLong = cutPoint(bytes, lineStart + room, lineEnd);
      if (tooLong !== null) {
        this.#line(frame, { bytes, start: lineStart, end: tooLong }, tooLong, sink);
        lineStart = tooLong;
      } else if (lineEnd === bytes.length) {
        this.#keep(frame, lineStart, lineEnd);
        lineStart = lineEnd;
      } else {
        const isCrLf = bytes[lineEnd] === CR && bytes[lineEnd + 1] === LF;
        const next = lineEnd + (isCrLf ? 2 : 1);
        this.#line(frame, { bytes, start: lineStart, end: lineEnd }, next, sink);
        lineStart = next;
        this.#afterCr = lineStart === bytes.length && bytes[lineEnd] === CR && !isCrLf;
      }
    }
    return lineStart;
  }

  flush(sink: EventSink): void {
    if (this.#pendingEnd !== null) sink.line(this.#pendingEnd, this.#takePending());
    this.#afterCr = false;
  }

  /** A line is complete whose last bytes, or all, are these; its event ends at `end` of the frame. */
  #line(frame: PlacedFrame, last: ByteRange, end: number, sink: EventSink): void {
    const id = { epoch: frame.epoch, seq: frame.seq, offset: frame.offset + end };
    if (this.#pendingEnd === null && frame.isText) {
      sink.line(id, last);
      return;
    }
    this.#keep(frame, last.start, last.end);
    sink.line(id, this.#takePending());
  }

  #keep(frame: PlacedFrame, start: number, end: number): void {
    if (start === end) return;
    this.#pending.push(frame.bytes.subarray(start, end));
    this.#pendingBytes += end - start;
    this.#pendingEnd = { epoch: frame.epoch, seq: frame.seq, offset: frame.offset + end };
    this.#isPendingText &&= frame.isText;
  }

  #takePending(): ByteRange {
    const only = this.#pending.length === 1 ? this.#pending[0] : undefined;
    const line = only ?? Buffer.concat(this.#pending);
    const bytes = this.#isPendingText ? line : encoder.encode(lenient.decode(line));
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#pendingEnd = null;
    this.#isPendingText = true;
    return { bytes, start: 0, end: bytes.length };
  }
}

function indexOrEnd(bytes: Uint8Array, byte: number, start: number): number {
  const index = bytes.indexOf(byte, start);
  return index === -1 ? bytes.length : index;
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
export class PieceCutter implements FrameCutter {
  skipped(_lastByte: number): void {
    // Every byte belongs to exactly one piece: nothing to swallow.
  }

  cut(frame: PlacedFrame, start: number, sink: EventSink): number {
    const { epoch, seq, offset, stream, bytes } = frame;
    let pieceStart = start;
    while (pieceStart < bytes.length && !sink.isFull) {
      const lf = bytes.indexOf(LF, pieceStart);
      const end = lf === -1 ? bytes.length : lf + 1;
      const isText = frame.isText || isUtf8(bytes.subarray(pieceStart, end));
      const piece = { stream, bytes, start: pieceStart, end, isText };
      sink.piece({ epoch, seq, offset: offset + end }, piece);
      pieceStart = end;
    }
    return pieceStart;
  }

  flush(_sink: EventSink): void {
    // No piece is ever held back.
  }
}
