import { isUtf8 } from "node:buffer";

import type { LogEntry, StreamName } from "../jobs/log-entry.ts";
import type { EventOptions, EventSink, NoteEntry } from "./events.ts";
import { type FrameCutter, LineCutter, PieceCutter, type PlacedFrame } from "./frame-cutters.ts";

/** Turns entries, given in order, into events. */
export interface EventCutter {
  /** Goes on to `entry`; the one before is cut to its end. `skipBytes`: of a log resumed inside it, what the client has. */
  enter(entry: LogEntry, skipBytes?: number): void;
  /** Gives `sink` the events that the entry completes, until it is full or there are no more. Returns whether there are more. */
  cut(sink: EventSink): boolean;
}

/** A cutter for one reader; it remembers an unfinished line between entries, at most 64 KiB of it. */
export function createEventCutter(options: EventOptions): EventCutter {
  return new EntryCutter(options);
}

class EntryCutter implements EventCutter {
  readonly #stream: StreamName | undefined;
  readonly #frames: FrameCutter;
  /** What of the entry is to come: a note, or the frames from #index on. */
  #note: NoteEntry | null = null;
  #output: Extract<LogEntry, { kind: "frames" }> | null = null;
  #index = 0;
  /** Of the frame at #index in its entry. */
  #offset = 0;
  #skipBytes = 0;
  /** The frame that is being cut, and how far it is. */
  #frame: PlacedFrame | null = null;
  #start = 0;

  constructor({ mode, stream }: EventOptions) {
    this.#stream = stream;
    this.#frames = mode === "plain" ? new LineCutter() : new PieceCutter();
  }

  enter(entry: LogEntry, skipBytes = 0): void {
    if (entry.kind === "frames") this.#output = entry;
    else this.#note = entry;
    this.#index = 0;
    this.#offset = 0;
    this.#skipBytes = skipBytes;
  }

  cut(sink: EventSink): boolean {
    if (this.#note !== null) {
      this.#frames.flush(sink);
      sink.note(this.#note);
      this.#note = null;
    }
    while ((this.#frame ??= this.#nextFrame()) !== null) {
      this.#start = this.#frames.cut(this.#frame, this.#start, sink);
      if (this.#start < this.#frame.bytes.length) return true;
      this.#frame = null;
    }
    return false;
  }

  /** null: the entry has no more. */
  #nextFrame(): PlacedFrame | null {
    for (;;) {
      const entry = this.#output;
      const frame = entry?.frames[this.#index++];
      if (entry === null || frame === undefined) {
        this.#output = null;
        return null;
      }
      const { stream, bytes } = frame;
      const offset = this.#offset;
      this.#offset += bytes.length;
      if (this.#stream !== undefined && stream !== this.#stream) continue;
      this.#start = Math.min(Math.max(this.#skipBytes - offset, 0), bytes.length);
      if (this.#start > 0) this.#frames.skipped(bytes[this.#start - 1] ?? 0);
      if (this.#start < bytes.length) {
        const { epoch, seq } = entry;
        return { stream, bytes, epoch, seq, offset, isText: isUtf8(bytes.subarray(this.#start)) };
      }
    }
  }
}
