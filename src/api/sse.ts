import type { EntryId, StreamName } from "../jobs/log-entry.ts";
import type { ByteRange, EventId, EventSink, NoteEntry, Piece } from "../logs/events.ts";
import { noteView } from "./job-view.ts";

/*
 * The framer of our event streams (WHATWG HTML, "Server-sent events"). It writes one `data:` line per event and escapes
 * nothing, because nothing that it is given can hold a line end: lines are cut at CR and LF before they come here, and
 * everything else is JSON. A framework's helper that takes arbitrary text would let a program forge events.
 *
 * From bytes to bytes: a string or an object for each of a log's lines would cost ten times what all the rest does.
 */

/** Goes out with the headers: opens the stream for the client, and sets how long it waits before it reconnects. */
export const STREAM_OPENING = "retry: 1500\n: ok\n\n";

/** Clients of a server that stops come back after this, each after another time, so that not all do at once. */
const MIN_RECONNECT_MS = 500;
const MAX_RECONNECT_MS = 2_500;

/** The last words of a stream whose log goes on: the server stops. `share`, from 0 to 1, is the client's place in the spread. */
export function frameRestart(share: number): string {
  const retryMs = Math.round(MIN_RECONNECT_MS + share * (MAX_RECONNECT_MS - MIN_RECONNECT_MS));
  return `retry: ${retryMs}\n: the server is restarting; connect again with the last id\n\n`;
}

/** Nothing has happened for a while. */
export const HEARTBEAT = ": heartbeat\n\n";
/** The client's position no longer exists. */
export const RESET = "event: reset\ndata: {}\n\n";

/** All events of one step go out as one chunk, of this size and the event that passes it: a fast stream's cost depends on it. */
const STEP_BYTES = 64 * 1024;

/** The bytes of all events that `give` hands to the sink it is called with; null where there are none. */
export function frameEvents(give: (sink: EventSink) => void): Uint8Array<ArrayBuffer> | null {
  framer.begin();
  give(framer);
  return framer.end();
}

const encoder = new TextEncoder();
const DATA = encoder.encode("\ndata: ");
const EVENT_END = encoder.encode("\n\n");
const QUOTE_BRACE = encoder.encode('"}');
const PIECE_HEADS = {
  stdout: pieceHeads("stdout"),
  stderr: pieceHeads("stderr"),
  compiler: pieceHeads("compiler"),
  installer: pieceHeads("installer"),
};

function pieceHeads(stream: StreamName) {
  return {
    text: encoder.encode(`{"stream":"${stream}","text":"`),
    b64: encoder.encode(`{"stream":"${stream}","b64":"`),
  };
}

/** What an event takes besides its bytes. */
const MAX_OVERHEAD_BYTES = 256;
/** How JSON writes each byte that it does not write as it is (RFC 8259, section 7), as JSON.stringify does. */
const ESCAPES: readonly (Uint8Array | undefined)[] = Array.from({ length: 256 }, (_, byte) => {
  const plain = JSON.stringify(String.fromCharCode(byte)).slice(1, -1);
  return byte < 0x80 && plain.length > 1 ? encoder.encode(plain) : undefined;
});
/** As \u0000. */
const MAX_ESCAPE_BYTES = 6;
/** A copy of fewer bytes is faster in a loop than through a call. */
const SHORT_COPY_BYTES = 200;

/** Writes the events of one step after the other into one buffer, which all streams share: a step is made in one go. */
class EventFramer implements EventSink {
  #out = new Uint8Array(2 * STEP_BYTES);
  #length = 0;
  /** `id: <epoch>-<seq>.`, which many events in a row have in common. */
  #idHead = new Uint8Array(0);
  #epoch = -1;
  #seq = -1;

  begin(): void {
    this.#length = 0;
  }

  end(): Uint8Array<ArrayBuffer> | null {
    return this.#length === 0 ? null : this.#out.slice(0, this.#length);
  }

  get isFull(): boolean {
    return this.#length >= STEP_BYTES;
  }

  line(id: EventId, { bytes, start, end }: ByteRange): void {
    this.#reserve(end - start);
    this.#writeId(id, id.offset);
    this.#write(DATA);
    this.#copy(bytes, start, end);
    this.#write(EVENT_END);
  }

  piece(id: EventId, { stream, bytes, start, end, isText }: Piece): void {
    this.#reserve(MAX_ESCAPE_BYTES * (end - start));
    this.#writeId(id, id.offset);
    this.#write(DATA);
    this.#write(isText ? PIECE_HEADS[stream].text : PIECE_HEADS[stream].b64);
    if (isText) this.#escape(bytes, start, end);
    else this.#write(encoder.encode(Buffer.from(bytes.subarray(start, end)).toString("base64")));
    this.#write(QUOTE_BRACE);
    this.#write(EVENT_END);
  }

  note(note: NoteEntry): void {
    const [name, data] = noteView(note);
    const text = encoder.encode(JSON.stringify(data));
    this.#reserve(text.length);
    this.#write(encoder.encode(`event: ${name}\n`));
    this.#writeId(note, 0);
    this.#write(DATA);
    this.#write(text);
    this.#write(EVENT_END);
  }

  /** Makes room for an event of so many bytes. */
  #reserve(byteLength: number): void {
    const needed = this.#length + byteLength + MAX_OVERHEAD_BYTES;
    if (needed <= this.#out.length) return;
    const grown = new Uint8Array(2 * needed);
    grown.set(this.#out.subarray(0, this.#length));
    this.#out = grown;
  }

  #writeId({ epoch, seq }: EntryId, offset: number): void {
    if (epoch !== this.#epoch || seq !== this.#seq) {
      this.#idHead = encoder.encode(`id: ${epoch}-${seq}.`);
      this.#epoch = epoch;
      this.#seq = seq;
    }
    this.#write(this.#idHead);
    let digits = 1;
    for (let power = 10; power <= offset; power *= 10) digits++;
    let rest = offset;
    for (let at = this.#length + digits - 1; at >= this.#length; at--) {
      this.#out[at] = 0x30 + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    this.#length += digits;
  }

  #write(bytes: Uint8Array): void {
    this.#copy(bytes, 0, bytes.length);
  }

  #copy(bytes: Uint8Array, start: number, end: number): void {
    const out = this.#out;
    let length = this.#length;
    this.#length += end - start;
    if (end - start > SHORT_COPY_BYTES) out.set(bytes.subarray(start, end), length);
    else for (let at = start; at < end; at++) out[length++] = bytes[at] ?? 0;
  }

  #escape(bytes: Uint8Array, start: number, end: number): void {
    const out = this.#out;
    let length = this.#length;
    for (let at = start; at < end; at++) {
      const byte = bytes[at] ?? 0;
      const escape = ESCAPES[byte];
      if (escape === undefined) out[length++] = byte;
      else for (let index = 0; index < escape.length; index++) out[length++] = escape[index] ?? 0;
    }
    this.#length = length;
  }
}

const framer = new EventFramer();
