import { ENTRY_MAX_FRAMES, type Frame, type StreamName } from "../jobs/log-entry.ts";
import { FrameQueue } from "./frames.ts";
import { WholeCharacters } from "./utf8.ts";

/** How much memory may be taken by what waits for the store, what is under way included. */
const BUFFER_MAX_BYTES = 1024 * 1024;

/** A program's output until it is put into entries: whole characters of each stream, in the order of the reads, up to the cap. */
export class Intake {
  readonly #outputBytes: number;
  readonly #queue = new FrameQueue();
  readonly #characters = {
    stdout: new WholeCharacters(),
    stderr: new WholeCharacters(),
    compiler: new WholeCharacters(),
    installer: new WholeCharacters(),
  };
  #acceptedBytes = 0;
  #droppedBytes = 0;

  /** Of all streams together, `outputBytes` are taken; the rest is dropped and counted. */
  constructor(outputBytes: number) {
    this.#outputBytes = outputBytes;
  }

  /** Of what waits. */
  get byteLength(): number {
    return this.#queue.byteLength;
  }

  /** All that was printed and is in no entry, past the cap or not. */
  get droppedBytes(): number {
    return this.#droppedBytes;
  }

  /** Whether the program is to be held back: an entry takes no more pieces than wait, or they and what is under way fill the memory. */
  isFull(underWayMemoryBytes: number): boolean {
    return (
      this.#queue.memoryBytes + underWayMemoryBytes >= BUFFER_MAX_BYTES ||
      this.#queue.length >= ENTRY_MAX_FRAMES
    );
  }

  /** Takes bytes just read; the beginning of a character waits for its rest. */
  write(stream: StreamName, chunk: Uint8Array): void {
    this.#accept(stream, this.#characters[stream].take(chunk));
  }

  /** One stream has ended: what was held back for the rest of a character will not be completed. */
  endStream(stream: StreamName): void {
    this.#accept(stream, this.#characters[stream].takeRest());
  }

  /** The next of what waits, at most `maxBytes`. */
  take(maxBytes: number): readonly Frame[] {
    return this.#queue.take(maxBytes);
  }

  /** Drops all that waits, and counts it together with `takenBytes` that were taken and have found no room. */
  drop(takenBytes: number): void {
    this.#droppedBytes += this.#queue.byteLength + takenBytes;
    this.#queue.clear();
  }

  /** Forgets all that waits. */
  clear(): void {
    this.#queue.clear();
  }

  #accept(stream: StreamName, bytes: Uint8Array): void {
    const room = this.#outputBytes - this.#acceptedBytes;
    // Once something was dropped nothing more is taken, so that the log stays an exact prefix.
    const kept = this.#droppedBytes > 0 ? 0 : Math.min(room, bytes.length);
    this.#droppedBytes += bytes.length - kept;
    this.#acceptedBytes += kept;
    if (kept > 0) this.#queue.push({ stream, bytes: bytes.subarray(0, kept) });
  }
}
