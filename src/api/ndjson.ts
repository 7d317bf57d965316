import type { LogEntry, StreamName } from "../jobs/log-entry.ts";
import { createEventCutter } from "../logs/cutter.ts";
import {
  type EventId,
  type EventSink,
  formatEventId,
  type NoteEntry,
  type Piece,
} from "../logs/events.ts";
import type { Snapshot } from "../logs/snapshot.ts";
import { noteView } from "./job-view.ts";

/*
 * A snapshot as newline-delimited JSON: an object for each event that `?format=json` of the stream has, with the same id, so
 * that a client may take up the stream where its snapshot ends. Lossless: what is no UTF-8 is in base64.
 */

const encoder = new TextEncoder();

/** The lines of a page of the log at a time. Throws what the snapshot throws. */
export async function* ndjsonLines(
  snapshot: Snapshot,
  stream: StreamName | undefined,
): AsyncGenerator<Uint8Array> {
  const cutter = createEventCutter({ mode: "json", stream });
  for await (const page of snapshot.pages()) {
    const lines = new Lines();
    for (const entry of page) cutAll(cutter, entry, lines);
    if (lines.text !== "") yield encoder.encode(lines.text);
  }
}

function cutAll(
  cutter: ReturnType<typeof createEventCutter>,
  entry: LogEntry,
  sink: EventSink,
): void {
  cutter.enter(entry);
  while (cutter.cut(sink));
}

class Lines implements EventSink {
  text = "";
  readonly isFull = false;

  line(): never {
    throw new Error("Only plain mode has lines.");
  }

  piece(id: EventId, { stream, bytes, start, end, isText }: Piece): void {
    const part = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
    const output = isText ? { text: part.toString("utf8") } : { b64: part.toString("base64") };
    this.#add({ id: formatEventId(id), stream, ...output });
  }

  note(note: NoteEntry): void {
    const [event, data] = noteView(note);
    this.#add({ id: formatEventId({ ...note, offset: 0 }), event, ...data });
  }

  #add(line: object): void {
    this.text += `${JSON.stringify(line)}\n`;
  }
}
