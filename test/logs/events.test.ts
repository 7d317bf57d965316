import { describe, expect, test } from "bun:test";
import fc from "fast-check";

import type { Frame, LogEntry, StreamName } from "../../src/jobs/log-entry.ts";
import { createEventCutter } from "../../src/logs/cutter.ts";
import {
  type EventId,
  type EventMode,
  formatEventId,
  parseEventId,
} from "../../src/logs/events.ts";
import { cutEntry, type LogEvent } from "../support/event-list.ts";

const EPOCH = 1_764_000_000_000;

interface View {
  readonly mode: EventMode;
  readonly stream: StreamName | undefined;
}

const streamName = fc.constantFrom<StreamName[]>("stdout", "stderr");
const view = fc.record<View>({
  mode: fc.constantFrom<EventMode[]>("plain", "json"),
  stream: fc.constantFrom(undefined, "stdout" as const, "stderr" as const),
});

/** Bytes in which line ends of every kind, multi-byte characters and broken ones are common. */
const chunk = fc
  .array(
    fc.constantFrom("a", "line", "\n", "\r", "\r\n", "é", "😀", "\u2028", "\0", "data: x", "\x80!"),
    { minLength: 1, maxLength: 8 },
  )
  .map((parts) =>
    Buffer.concat(
      parts.map((part) => (part === "\x80!" ? Buffer.from([0x80, 0xff]) : Buffer.from(part))),
    ),
  );

const framesEntry = fc.array(fc.record({ stream: streamName, bytes: chunk }), {
  minLength: 1,
  maxLength: 4,
});

/** A log of one attempt: marker, output, end. */
const log = fc.array(framesEntry, { maxLength: 6 }).map((all): LogEntry[] => [
  { epoch: EPOCH, seq: 0, kind: "attempt", attempt: 1, reason: null },
  ...all.map((frames, index): LogEntry => ({
    epoch: EPOCH,
    seq: index + 1,
    kind: "frames",
    frames,
  })),
  {
    epoch: EPOCH,
    seq: all.length + 1,
    kind: "end",
    end: { status: "succeeded", reason: null, exitCode: 0, signal: null },
  },
]);

function cutAll(entries: readonly LogEntry[], options: View): LogEvent[] {
  const cutter = createEventCutter(options);
  return entries.flatMap((entry) => cutEntry(cutter, entry));
}

/** What a client that has `id` is sent when it comes back. */
function resume(entries: readonly LogEntry[], id: EventId, options: View): LogEvent[] {
  const cutter = createEventCutter(options);
  return entries
    .filter((entry) => entry.seq > id.seq || (entry.seq === id.seq && entry.kind === "frames"))
    .flatMap((entry) => cutEntry(cutter, entry, entry.seq === id.seq ? id.offset : 0));
}

const allFrames = (entries: readonly LogEntry[]): readonly Frame[] =>
  entries.flatMap((entry) => (entry.kind === "frames" ? entry.frames : []));

function snapshot(entries: readonly LogEntry[], stream: StreamName | undefined): Buffer {
  const selected = allFrames(entries).filter((f) => stream === undefined || f.stream === stream);
  return Buffer.concat(selected.map(({ bytes }) => bytes));
}

/** The bytes after an event, by the definition of its id. */
function bytesAfter(entries: readonly LogEntry[], id: EventId, stream: StreamName | undefined) {
  const parts: Uint8Array[] = [];
  for (const entry of entries) {
    if (entry.kind !== "frames" || entry.seq < id.seq) continue;
    let offset = 0;
    for (const frame of entry.frames) {
      const skip = entry.seq === id.seq ? Math.max(id.offset - offset, 0) : 0;
      offset += frame.bytes.length;
      if (stream === undefined || frame.stream === stream) parts.push(frame.bytes.subarray(skip));
    }
  }
  return Buffer.concat(parts);
}

function piecesToBytes(events: readonly LogEvent[]): Buffer {
  return Buffer.concat(
    events.flatMap((event) => {
      if (event.kind !== "piece") return [];
      return ["text" in event.content ? Buffer.from(event.content.text) : event.content.bytes];
    }),
  );
}

const linesOf = (events: readonly LogEvent[]): string[] =>
  events.flatMap((event) => (event.kind === "line" ? [event.text] : []));

/** The lines of some bytes as a terminal would count them, each decoded by itself. */
function expectedLines(bytes: Buffer): string[] {
  const lines = bytes.toString("latin1").split(/\r\n|\r|\n/);
  if (lines.at(-1) === "") lines.pop();
  return lines.map((line) => Buffer.from(line, "latin1").toString("utf8"));
}

describe("events of a log", () => {
  test("JSON pieces put together are the snapshot, byte for byte", () => {
    fc.assert(
      fc.property(log, view, (entries, { stream }) => {
        const events = cutAll(entries, { mode: "json", stream });
        expect(piecesToBytes(events)).toEqual(snapshot(entries, stream));
      }),
      { numRuns: 1000 },
    );
  });

  test("plain lines are the snapshot's lines, whatever its line ends", () => {
    fc.assert(
      fc.property(log, view, (entries, { stream }) => {
        const events = cutAll(entries, { mode: "plain", stream });
        expect(linesOf(events)).toEqual(expectedLines(snapshot(entries, stream)));
      }),
      { numRuns: 1000 },
    );
  });

  test("resuming after any event gives exactly the events after it", () => {
    fc.assert(
      fc.property(log, view, (entries, options) => {
        const events = cutAll(entries, options);
        for (const [index, event] of events.entries())
          expect(resume(entries, event.id, options)).toEqual(events.slice(index + 1));
      }),
      { numRuns: 3000 },
    );
  });

  test("resuming in another mode continues at the same byte", () => {
    fc.assert(
      fc.property(log, view, (entries, options) => {
        for (const event of cutAll(entries, options)) {
          const rest = bytesAfter(entries, event.id, options.stream);
          if (options.mode === "plain") {
            const pieces = resume(entries, event.id, { ...options, mode: "json" });
            expect(piecesToBytes(pieces)).toEqual(rest);
          } else if (event.kind === "piece") {
            const isAfterCr = piecesToBytes([event]).at(-1) === 0x0d;
            const swallowed = isAfterCr && rest[0] === 0x0a ? rest.subarray(1) : rest;
            const lines = linesOf(resume(entries, event.id, { ...options, mode: "plain" }));
            expect(lines).toEqual(expectedLines(swallowed));
          }
        }
      }),
      { numRuns: 1000 },
    );
  });

  test("no line holds a line end, so none can forge an event", () => {
    fc.assert(
      fc.property(log, (entries) => {
        for (const line of linesOf(cutAll(entries, { mode: "plain", stream: undefined })))
          expect(line).not.toMatch(/[\r\n]/);
      }),
    );
  });
});

const frames = (seq: number, ...texts: string[]): LogEntry => ({
  epoch: EPOCH,
  seq,
  kind: "frames",
  frames: texts.map((text) => ({ stream: "stdout", bytes: Buffer.from(text) })),
});

describe("plain mode", () => {
  const plain = { mode: "plain", stream: undefined } as const;

  test("an unfinished line waits for its end, over entries", () => {
    const events = cutAll([frames(1, "one\ntw"), frames(2, "o\nthree")], plain);
    expect(events).toEqual([
      { kind: "line", id: { epoch: EPOCH, seq: 1, offset: 4 }, text: "one" },
      { kind: "line", id: { epoch: EPOCH, seq: 2, offset: 2 }, text: "two" },
    ]);
  });

  test("a gap and the border of an attempt end the line before them", () => {
    const gap: LogEntry = { epoch: EPOCH, seq: 2, kind: "gap", droppedBytes: 7 };
    const next: LogEntry = {
      epoch: EPOCH + 1,
      seq: 0,
      kind: "attempt",
      attempt: 2,
      reason: "worker_lost",
    };
    expect(cutAll([frames(1, "cut off"), gap], plain).map(({ kind }) => kind)).toEqual([
      "line",
      "gap",
    ]);
    expect(cutAll([frames(1, "cut off"), next], plain)).toEqual([
      { kind: "line", id: { epoch: EPOCH, seq: 1, offset: 7 }, text: "cut off" },
      {
        kind: "attempt",
        id: { epoch: EPOCH + 1, seq: 0, offset: 0 },
        attempt: 2,
        reason: "worker_lost",
      },
    ]);
  });

  test("a line without an end is cut near 64 KiB, never inside a character, and loses nothing", () => {
    const text = "😀".repeat(50_000);
    const bytes = Buffer.from(text);
    const entries: LogEntry[] = [];
    for (let at = 0; at < bytes.length; at += 40_000)
      entries.push({
        epoch: EPOCH,
        seq: entries.length + 1,
        kind: "frames",
        frames: [{ stream: "stdout", bytes: bytes.subarray(at, at + 40_000) }],
      });
    const end: LogEntry = { epoch: EPOCH, seq: entries.length + 1, kind: "gap", droppedBytes: 1 };
    const lines = linesOf(cutAll([...entries, end], plain));
    expect(lines.join("")).toBe(text);
    expect(lines.length).toBe(4);
    for (const line of lines) expect(Buffer.byteLength(line)).toBeLessThan(64 * 1024 + 4);
  });

  test("a byte order mark is text like any other", () => {
    expect(linesOf(cutAll([frames(1, "\ufeffa\n", "\ufeffb\n")], plain))).toEqual([
      "\ufeffa",
      "\ufeffb",
    ]);
  });
});

describe("event ids", () => {
  test("what is written can be read", () => {
    const id = { epoch: EPOCH, seq: 12, offset: 345 };
    expect(formatEventId(id)).toBe(`${EPOCH}-12.345`);
    expect(parseEventId(formatEventId(id))).toEqual(id);
  });

  test.each(["", "1", "1-2", "1-2.x", "-1-2.3", "1-2.3 ", " 1-2.3", "99999999999999999999-1.1"])(
    "%p is not ours",
    (text) => expect(parseEventId(text)).toBeNull(),
  );
});
