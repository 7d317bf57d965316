import { setTimeout as delay } from "node:timers/promises";

import type { LogSize } from "../jobs/job.ts";
import { type Frame, framesByteLength, type LogBody, type StreamName } from "../jobs/log-entry.ts";
import type { AppendAnswer } from "../store/store.ts";
import { takeFrames } from "./frames.ts";
import { incompleteTailLength } from "./utf8.ts";

/*
 * From a program's two pipes to bounded log entries in the store.
 *
 * write() takes the bytes as they are read. One append is in flight at a time; what arrives meanwhile becomes the next
 * entry (natural group commit). The first output after a pause goes out at once, steady output at most every
 * BATCH_INTERVAL_MS or ENTRY_TARGET_BYTES. When the store is slower than the program, write() waits, so that the pipe
 * fills and the program blocks, in place of this process growing.
 */

/** After an entry was sent, the next waits this long for more output to share its entry... */
const BATCH_INTERVAL_MS = 15;
/** ...unless this much has gathered: an entry of 32 KiB costs Redis a tenth of the memory per byte that one line does. */
const ENTRY_TARGET_BYTES = 32 * 1024;
const ENTRY_MAX_BYTES = 64 * 1024;
/** How much output may wait for the store. */
const BUFFER_MAX_BYTES = 1024 * 1024;
/**
 * The same for a program that writes single bytes, now to one stream and now to the other: each costs an object here, and
 * again in every reader of the entry (OBJECT_BYTES), which holds no more of them than this, and one or two.
 */
const BUFFER_MAX_FRAMES = 1_000;
/** Once output is dropped, the pipe is read at most a thousand times a second, which is 64 MiB. */
const DROPPING_PAUSE_MS = 1;
/** How much and how long answered entries are kept, for a store that loses its last second in a crash. */
const SPOOL_MAX_BYTES = 4 * 1024 * 1024;
const SPOOL_KEEP_MS = 3_000;

export type CollectorAnswer =
  | AppendAnswer
  /** The store has no room for the entry, and there was no use in waiting longer: the log ends before it. */
  | { readonly kind: "refused" };

export interface LogCollectorOptions {
  /** Stores one entry. Expected to retry a store outage by itself, and to throw only when the run is to be given up. */
  readonly append: (seq: number, body: LogBody, log: LogSize) => Promise<CollectorAnswer>;
  /** Output past this many bytes, both streams together, is dropped and counted. */
  readonly outputBytes: number;
  /** Called once when nothing of this attempt can become visible any more: the run is to be stopped. */
  readonly onFenced: () => void;
  /** A monotonic clock in milliseconds. */
  readonly now?: () => number;
}

interface SentEntry {
  readonly seq: number;
  readonly body: LogBody;
  readonly log: LogSize;
  /** Infinity while there is no answer. */
  answeredAtMs: number;
}

/**
 * The log of one attempt on its way to the store: bytes of both streams in, entries of at most ENTRY_MAX_BYTES out, with seq
 * from 1 on. Only close() and resendAfter() reject, with what `append` threw.
 */
export class LogCollector {
  readonly #options: LogCollectorOptions;
  readonly #now: () => number;
  #frames: Frame[] = [];
  #bufferedBytes = 0;
  /** Per stream: the beginning of a character whose rest has not been read yet. */
  readonly #held: Record<StreamName, Uint8Array> = { stdout: EMPTY, stderr: EMPTY };
  #acceptedBytes = 0;
  #droppedBytes = 0;
  #markedDroppedBytes = 0;
  /** The store had no room even for the note that there is a gap: whoever ends the job writes it. */
  #isGapRefused = false;
  #storedBytes = 0;
  #seq = 0;
  #lastSentAtMs = Number.NEGATIVE_INFINITY;
  #spool: SentEntry[] = [];
  #spoolBytes = 0;
  #fenced = false;
  #failure: { readonly thrown: unknown } | undefined;
  #closing = false;
  #pump: Promise<void> | null = null;
  #wakePump = Promise.withResolvers<void>();
  #roomMade = Promise.withResolvers<void>();

  constructor(options: LogCollectorOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** What is stored and dropped so far; final once close() has resolved. */
  get size(): LogSize {
    return { bytes: this.#storedBytes, droppedBytes: this.#droppedBytes };
  }

  /** The seq of the last entry that was stored; 0 before the first. */
  get lastSeq(): number {
    return this.#seq;
  }

  /** Whether bytes were dropped of which no entry tells; final once close() has resolved. */
  get isGapUnmarked(): boolean {
    return this.#droppedBytes !== this.#markedDroppedBytes;
  }

  /** Memory that is kept for resendAfter. */
  get spoolBytes(): number {
    return this.#spoolBytes;
  }

  /** Takes bytes just read from one stream; resolves when there is room for more. */
  async write(stream: StreamName, chunk: Uint8Array): Promise<void> {
    const held = this.#held[stream];
    const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    const tail = incompleteTailLength(bytes);
    this.#held[stream] = bytes.slice(bytes.length - tail);
    this.#accept(stream, bytes.subarray(0, bytes.length - tail));
    while (this.#isFull() && !this.#fenced) await this.#roomMade.promise;
    // Nothing is kept of what comes now: a program that floods its output is not worth a core of this service.
    if (this.#droppedBytes > 0) await delay(DROPPING_PAUSE_MS);
  }

  /** One stream has ended: what was held back for the rest of a character will not be completed. */
  endStream(stream: StreamName): void {
    const held = this.#held[stream];
    this.#held[stream] = EMPTY;
    this.#accept(stream, held);
  }

  /**
   * Ends both streams and resolves when every byte is stored, or the collector is fenced. Rejects with what `append`
   * threw, if it did.
   */
  async close(): Promise<void> {
    this.endStream("stdout");
    this.endStream("stderr");
    this.#closing = true;
    this.#wake();
    await this.#pump;
    if (this.#failure !== undefined) throw this.#failure.thrown;
  }

  #isFull(): boolean {
    return this.#bufferedBytes >= BUFFER_MAX_BYTES || this.#frames.length >= BUFFER_MAX_FRAMES;
  }

  #accept(stream: StreamName, bytes: Uint8Array): void {
    if (this.#fenced || bytes.length === 0) return;
    const room = this.#options.outputBytes - this.#acceptedBytes;
    // Once something was dropped nothing more is taken, so that the log stays an exact prefix.
    const kept = this.#droppedBytes > 0 ? 0 : Math.min(room, bytes.length);
    this.#droppedBytes += bytes.length - kept;
    this.#acceptedBytes += kept;
    // A copy of its own size: a small view would keep the whole of the reader's buffer alive.
    if (kept > 0) this.#frames.push({ stream, bytes: bytes.slice(0, kept) });
    this.#bufferedBytes += kept;
    this.#wake();
  }

  #wake(): void {
    this.#wakePump.resolve();
    if (this.#pump === null && !this.#fenced && this.#hasWork()) this.#pump = this.#run();
  }

  /** Sends entries while there is something to send; starts again with the next output. */
  async #run(): Promise<void> {
    try {
      while (!this.#fenced && this.#hasWork()) {
        await this.#gather();
        await this.#sendNext();
      }
    } catch (error) {
      this.#failure = { thrown: error };
      this.#fence();
    } finally {
      this.#pump = null;
    }
  }

  #hasWork(): boolean {
    return this.#bufferedBytes > 0 || this.#mustMarkGap();
  }

  /** A gap is marked as soon as it begins, and once more at the end with the final count. */
  #mustMarkGap(): boolean {
    if (!this.isGapUnmarked || this.#isGapRefused) return false;
    return this.#markedDroppedBytes === 0 || this.#closing;
  }

  /** Waits until the next entry is due; at once where the program waits for room. */
  async #gather(): Promise<void> {
    const dueAtMs = this.#lastSentAtMs + BATCH_INTERVAL_MS;
    while (!this.#closing && this.#bufferedBytes < ENTRY_TARGET_BYTES && !this.#isFull()) {
      const waitMs = dueAtMs - this.#now();
      if (waitMs <= 0) return;
      this.#wakePump = Promise.withResolvers();
      const timer = setTimeout(this.#wakePump.resolve, waitMs);
      await this.#wakePump.promise;
      clearTimeout(timer);
    }
  }

  async #sendNext(): Promise<void> {
    const body = this.#takeBody();
    this.#storedBytes += bodyByteLength(body);
    this.#lastSentAtMs = this.#now();
    const seq = ++this.#seq;
    const entry = { seq, body, log: this.size, answeredAtMs: Number.POSITIVE_INFINITY };
    this.#spool.push(entry);
    this.#spoolBytes += bodyByteLength(body);
    await this.#send(entry);
    entry.answeredAtMs = this.#now();
    this.#trimSpool(entry.answeredAtMs);
  }

  #takeBody(): LogBody {
    if (this.#bufferedBytes === 0) return { kind: "gap", droppedBytes: this.#droppedBytes };
    const frames = takeFrames(this.#frames, ENTRY_MAX_BYTES);
    this.#bufferedBytes -= framesByteLength(frames);
    this.#makeRoom();
    return { kind: "frames", frames };
  }

  async #send(entry: SentEntry): Promise<void> {
    const answer = await this.#options.append(entry.seq, entry.body, entry.log);
    if (answer.kind === "refused") return this.#truncate(entry);
    const isStored =
      answer.kind === "stored" ||
      (answer.kind === "behind" && (await this.resendAfter(answer.lastSeq)));
    if (!isStored) this.#fence();
    else if (entry.body.kind === "gap") this.#markedDroppedBytes = entry.body.droppedBytes;
  }

  /**
   * The store came back without its last entries: sends those after `lastSeq` again, in order. Resolves to whether the
   * log is whole again; it is not where they are no longer remembered.
   */
  async resendAfter(lastSeq: number): Promise<boolean> {
    const lost = this.#spool.filter((sent) => sent.seq > lastSeq);
    if (lost[0]?.seq !== lastSeq + 1) return false;
    for (const { seq, body, log } of lost) {
      const answer = await this.#options.append(seq, body, log);
      if (answer.kind !== "stored") return false;
    }
    return true;
  }

  /** The log ends before `entry`: it was not stored, and what waits behind it is dropped with it. */
  #truncate(entry: SentEntry): void {
    this.#spool = this.#spool.filter((sent) => sent !== entry);
    this.#spoolBytes -= bodyByteLength(entry.body);
    this.#seq--;
    if (entry.body.kind === "gap") this.#isGapRefused = true;
    this.#storedBytes -= bodyByteLength(entry.body);
    this.#droppedBytes += bodyByteLength(entry.body) + this.#bufferedBytes;
    this.#frames = [];
    this.#bufferedBytes = 0;
    this.#makeRoom();
  }

  #trimSpool(nowMs: number): void {
    for (;;) {
      const [oldest] = this.#spool;
      if (oldest === undefined) return;
      const isOld = nowMs - oldest.answeredAtMs > SPOOL_KEEP_MS;
      if (!isOld && this.#spoolBytes <= SPOOL_MAX_BYTES) return;
      this.#spool.shift();
      this.#spoolBytes -= bodyByteLength(oldest.body);
    }
  }

  #fence(): void {
    if (this.#fenced) return;
    this.#fenced = true;
    this.#frames = [];
    this.#bufferedBytes = 0;
    this.#makeRoom();
    this.#options.onFenced();
  }

  #makeRoom(): void {
    this.#roomMade.resolve();
    this.#roomMade = Promise.withResolvers();
  }
}

const EMPTY = new Uint8Array(0);

function bodyByteLength(body: LogBody): number {
  return body.kind === "frames" ? framesByteLength(body.frames) : 0;
}
