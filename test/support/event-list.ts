import type { EntryId, LogEntry, StreamName } from "../../src/jobs/log-entry.ts";
import type { EventCutter } from "../../src/logs/cutter.ts";
import type { EventId, EventSink, NoteEntry } from "../../src/logs/events.ts";

/** An event as an object, to be compared. */
export type LogEvent =
  | { readonly kind: "line"; readonly id: EventId; readonly text: string }
  | {
      readonly kind: "piece";
      readonly id: EventId;
      readonly stream: StreamName;
      readonly content: { readonly text: string } | { readonly bytes: Uint8Array };
    }
  | NoteEvent<NoteEntry>;

type NoteEvent<Note> = Note extends NoteEntry
  ? Omit<Note, keyof EntryId> & { readonly id: EventId }
  : never;

/** FrameStep: up to 500 events as objects. */
export function listEvents(give: (sink: EventSink) => void): readonly LogEvent[] | null {
  return listUpTo(500, give);
}

const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** What is said to be text is text, or this throws. */
function listUpTo(fullAfter: number, give: (sink: EventSink) => void): readonly LogEvent[] | null {
  const events: LogEvent[] = [];
  give({
    get isFull() {
      return events.length >= fullAfter;
    },
    line(id, { bytes, start, end }) {
      events.push({ kind: "line", id, text: strict.decode(bytes.slice(start, end)) });
    },
    piece(id, { stream, bytes, start, end, isText }) {
      const part = bytes.slice(start, end);
      const content = isText ? { text: strict.decode(part) } : { bytes: part };
      events.push({ kind: "piece", id, stream, content });
    },
    note({ epoch, seq, ...note }) {
      events.push({ ...note, id: { epoch, seq, offset: 0 } });
    },
  });
  return events.length > 0 ? events : null;
}

/** All events of one entry, cut by a cutter that pauses after every second. */
export function cutEntry(cutter: EventCutter, entry: LogEntry, skipBytes = 0): readonly LogEvent[] {
  cutter.enter(entry, skipBytes);
  const all: LogEvent[] = [];
  for (let isMore = true; isMore;)
    all.push(...(listUpTo(2, (sink) => (isMore = cutter.cut(sink))) ?? []));
  return all;
}
