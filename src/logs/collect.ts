import { setTimeout as delay } from "node:timers/promises";

import type { LogSize } from "../jobs/job.ts";
import {
  ENTRY_MAX_BYTES,
  entryByteLength,
  type LogBody,
  STREAM_NAMES,
  type StreamName,
} from "../jobs/log-entry.ts";
import type { AppendAnswer } from "../store/store.ts";
import { countStreamedBytes } from "../platform/memory.ts";
import { Intake } from "./intake.ts";
import { type SentEntry, Spool } from "./spool.ts";

/*
 * From a program's two pipes to bounded log entries in the store.
 *
 * write() takes the bytes as they are read. While an entry is under way to the store, what arrives becomes the next one
 * (natural group commit), which goes after it without waiting only when it is full. The first output after a pause goes
 * out at once, steady output at most every BATCH_INTERVAL_MS or ENTRY_TARGET_BYTES. When the store is slower than the
 * program, write() waits, so that the pipe fills and the program blocks, in place of this process growing.
 */

/** After an entry was sent, the next waits this long for more output to share its entry... */
const BATCH_INTERVAL_MS = 15;
/** ...unless this much has gathered: an entry of 32 KiB costs Redis a tenth of the memory per byte that one line does. */
const ENTRY_TARGET_BYTES = ENTRY_MAX_BYTES / 2;
/** So often is output in memory on its way from a pipe to the store: as it was read, gathered, encoded, and sent. */
const COPIES = 4;
/** How long the next read is put off where output is dropped, which then costs no core: 64 MiB a second are read. */
const READ_PAUSE_MS = 1;
/** The same where output comes in smaller pieces than this while more waits: the next read brings more at once. */
const SMALL_BYTES = 16 * 1024;
/** So many full entries may be under way at once: a store that commits them together does so with one wait for its disk. */
const MAX_UNDER_WAY = 8;

export type CollectorAnswer =
  | AppendAnswer
  /** The store has no room for the entry, and there was no use in waiting longer: the log ends before it. */
  | { readonly kind: "refused" };

export interface LogCollectorOptions {
  /** Stores one entry. Expected to retry a store outage by itself, and to throw only when the run is to be given up. */
  readonly append: (seq: number, body: LogBody, log: LogSize) => Promise<CollectorAnswer>;
  /** Output past this many bytes, all streams together, is dropped and counted. */
  readonly outputBytes: number;
  /** Called once when nothing of this attempt can become visible any more: the run is to be stopped. */
  readonly onFenced: () => void;
  /** How long entries that were stored are kept for resendAfter: as long as the store may lose them (Store.unsafeMs). */
  readonly keepMs: number;
}

/**
 * The log of one attempt on its way to the store: bytes of its streams in, entries of at most ENTRY_MAX_BYTES out, with seq
 * from 1 on. Only close() and resendAfter() reject, with what `append` threw.
 */
export class LogCollector {
  readonly #options: LogCollectorOptions;
  readonly #intake: Intake;
  #markedDroppedBytes = 0;
  /** The store had no room even for the note that there is a gap: whoever ends the job writes it. */
  #isGapRefused = false;
  #sentBytes = 0;
  #seq = 0;
  #lastSentAtMs = Number.NEGATIVE_INFINITY;
  readonly #spool: Spool<CollectorAnswer>;
  #fenced = false;
  #failure: { readonly thrown: unknown } | undefined;
  #closing = false;
  #pump: Promise<void> | null = null;
  #wakePump = Promise.withResolvers<void>();
  #roomMade = Promise.withResolvers<void>();

  constructor(options: LogCollectorOptions) {
    this.#options = options;
    this.#intake = new Intake(options.outputBytes);
    this.#spool = new Spool(options.keepMs);
  }

  /**
   * What was sent to the store so far, less what it had no room for, and what was dropped. Final once close() has resolved:
   * all that was sent is stored by then, unless the collector is fenced.
   */
  get size(): LogSize {
    return { bytes: this.#sentBytes, droppedBytes: this.#intake.droppedBytes };
  }

  /** The seq of the last entry that was sent, as `size` counts it; 0 before the first. */
  get lastSeq(): number {
    return this.#seq;
  }

  /** Whether bytes were dropped of which no entry tells; final once close() has resolved. */
  get isGapUnmarked(): boolean {
    return this.#intake.droppedBytes !== this.#markedDroppedBytes;
  }

  /** Memory that is kept for resendAfter. */
  get spoolMemoryBytes(): number {
    return this.#spool.memoryBytes;
  }

  /** Takes bytes just read from one stream; resolves when there is room for more. */
  async write(stream: StreamName, chunk: Uint8Array): Promise<void> {
    if (!this.#fenced) this.#intake.write(stream, chunk);
    this.#wake();
    while (this.#isFull() && !this.#fenced) await this.#roomMade.promise;
    const isInPieces = chunk.length < SMALL_BYTES && this.#intake.byteLength >= SMALL_BYTES;
    if (this.#intake.droppedBytes > 0 || isInPieces) await delay(READ_PAUSE_MS);
  }

  /** One stream has ended: what was held back for the rest of a character will not be completed. */
  endStream(stream: StreamName): void {
    if (!this.#fenced) this.#intake.endStream(stream);
    this.#wake();
  }

  /**
   * Ends all streams and resolves when every byte is stored, or the collector is fenced. Rejects with what `append`
   * threw, if it did.
   */
  async close(): Promise<void> {
    for (const stream of STREAM_NAMES) this.endStream(stream);
    this.#closing = true;
    this.#wake();
    await this.#pump;
    if (this.#failure !== undefined) throw this.#failure.thrown;
  }

  #isFull(): boolean {
    return this.#intake.isFull(this.#spool.underWayMemoryBytes);
  }

  #wake(): void {
    this.#wakePump.resolve();
    this.#sendAhead();
    if (this.#pump === null && !this.#fenced && this.#hasWork()) this.#pump = this.#run();
  }

  /** Sends entries while there is something to send; starts again with the next output. */
  async #run(): Promise<void> {
    try {
      while (!this.#fenced && this.#hasWork()) {
        await this.#gather();
        this.#sendNext();
        await this.#settleAll();
      }
    } catch (error) {
      this.#failure = { thrown: error };
      this.#fence();
    } finally {
      this.#pump = null;
    }
  }

  #hasWork(): boolean {
    return this.#intake.byteLength > 0 || this.#mustMarkGap();
  }

  /** A gap is marked as soon as it begins, and once more at the end with the final count. */
  #mustMarkGap(): boolean {
    if (!this.isGapUnmarked || this.#isGapRefused) return false;
    return this.#markedDroppedBytes === 0 || this.#closing;
  }

  /** Waits until the next entry is due; at once where the program waits for room. */
  async #gather(): Promise<void> {
    const dueAtMs = this.#lastSentAtMs + BATCH_INTERVAL_MS;
    while (!this.#closing && this.#intake.byteLength < ENTRY_TARGET_BYTES && !this.#isFull()) {
      const waitMs = dueAtMs - performance.now();
      if (waitMs <= 0) return;
      this.#wakePump = Promise.withResolvers();
      const timer = setTimeout(this.#wakePump.resolve, waitMs);
      await this.#wakePump.promise;
      clearTimeout(timer);
    }
  }

  #sendNext(): void {
    const body = this.#takeBody();
    const byteLength = entryByteLength(body);
    countStreamedBytes(COPIES * byteLength);
    this.#sentBytes += byteLength;
    this.#lastSentAtMs = performance.now();
    const seq = ++this.#seq;
    const log = this.size;
    const answer = this.#options.append(seq, body, log);
    // Awaited in its turn; where the run is given up before, a failure is nobody's.
    answer.catch(() => undefined);
    this.#spool.add({ seq, body, log, answer, isAhead: this.#spool.underWay.length > 0 });
  }

  /** Sends after what is under way what has nothing to wait for. */
  #sendAhead(): void {
    const worthBytes = this.#closing ? 1 : ENTRY_MAX_BYTES;
    const { underWay } = this.#spool;
    while (
      underWay.length > 0 &&
      underWay.length < MAX_UNDER_WAY &&
      this.#intake.byteLength >= worthBytes
    )
      this.#sendNext();
  }

  async #settleAll(): Promise<void> {
    for (;;) {
      const [entry] = this.#spool.underWay;
      if (entry === undefined) return;
      await this.#settle(entry);
      // Given up, with all that came after it.
      if (this.#spool.underWay[0] !== entry) return;
      this.#spool.shift(performance.now());
      this.#makeRoom();
      this.#sendAhead();
    }
  }

  #takeBody(): LogBody {
    if (this.#intake.byteLength === 0)
      return { kind: "gap", droppedBytes: this.#intake.droppedBytes };
    const frames = this.#intake.take(ENTRY_MAX_BYTES);
    this.#makeRoom();
    return { kind: "frames", frames };
  }

  /** Sees to it that an entry is stored, those before it being stored. */
  async #settle(entry: SentEntry<CollectorAnswer>): Promise<void> {
    let answer = await entry.answer;
    // It has come before one that had to be sent again.
    if (answer.kind === "behind" && entry.isAhead)
      answer = await this.#options.append(entry.seq, entry.body, entry.log);
    if (answer.kind === "refused") return await this.#truncate(entry);
    const isStored =
      answer.kind === "stored" ||
      (answer.kind === "behind" && (await this.#resend(answer.lastSeq, entry.seq)));
    if (!isStored) this.#fence();
    else if (entry.body.kind === "gap") this.#markedDroppedBytes = entry.body.droppedBytes;
  }

  /**
   * The store came back without its last entries: sends those after `lastSeq` again, in order. Resolves to whether the
   * log is whole again; it is not where they are no longer remembered.
   */
  async resendAfter(lastSeq: number): Promise<boolean> {
    return await this.#resend(lastSeq, this.#seq);
  }

  async #resend(lastSeq: number, untilSeq: number): Promise<boolean> {
    const lost = this.#spool.between(lastSeq, untilSeq);
    if (lost === null) return false;
    for (const { seq, body, log } of lost) {
      const answer = await this.#options.append(seq, body, log);
      if (answer.kind !== "stored") return false;
    }
    return true;
  }

  /** The log ends before `entry`: it was not stored, and what is under way or waits behind it is dropped with it. */
  async #truncate(entry: SentEntry<CollectorAnswer>): Promise<void> {
    const dropped = this.#spool.takeUnderWay();
    // Its seq is given to another entry: nothing that was sent with it, or after it, may still arrive.
    await Promise.allSettled(dropped.map(({ answer }) => answer));
    let droppedBytes = 0;
    for (const { body } of dropped) {
      if (body.kind === "gap") this.#isGapRefused = true;
      droppedBytes += entryByteLength(body);
    }
    this.#seq = entry.seq - 1;
    this.#sentBytes -= droppedBytes;
    this.#intake.drop(droppedBytes);
    this.#makeRoom();
  }

  #fence(): void {
    if (this.#fenced) return;
    this.#fenced = true;
    this.#spool.takeUnderWay();
    this.#intake.clear();
    this.#makeRoom();
    this.#options.onFenced();
  }

  #makeRoom(): void {
    this.#roomMade.resolve();
    this.#roomMade = Promise.withResolvers();
  }
}
