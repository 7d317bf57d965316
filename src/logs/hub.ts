import { AppError } from "../errors.ts";
import {
  compareEntryIds,
  type EntryId,
  entryIdBefore,
  entryMemoryBytes,
  FULL_ENTRY_MEMORY_BYTES,
  type LogEntry,
} from "../jobs/log-entry.ts";
import { pause } from "../lifecycle.ts";
import type { Store } from "../store/store.ts";
import { Patience } from "./patience.ts";
import { EntryRing } from "./ring.ts";

/*
 * Logs for any number of readers in one process. Those who are near a log's end share one cursor, one wait, and the last
 * entries: the store is read once for all of them. A reader that is further back pages by itself until it meets them.
 * Nothing is pushed and nothing is queued per reader, so a slow one holds no more than the page that it was given.
 */

/** Of each log that is being read; a reader that falls further back than this reads the store by itself. */
const RING_BYTES = 256 * 1024;
/** A reader's page stays in memory for as long as its client does not read. */
const PAGE_BYTES = 64 * 1024;
/** What is read on at the ring's end, for all: no more than the ring holds, or who is near its end would lose what was read. */
const RING_PAGE_BYTES = 200 * 1024;
/**
 * After all readers of a log were given something, they rest for so long each, and get what comes meanwhile at once. To
 * serve one takes about as long: a log that a thousand follow takes half of a core, and not all there is.
 */
const REST_MS_PER_READER = 0.02;
const MAX_REST_MS = 50;
/** A store that is away is asked again this often. */
const OUTAGE_PAUSE_MS = 500;
/** A log that stays quiet is looked at this often, for the job may have been removed. */
const QUIET_LOOK_MS = 15_000;

/** What the hub needs of a store. */
export type HubStore = Pick<Store, "get" | "readLog" | "waitForEntries">;

/** The logs of a store, for all who read them in one process. A reader's pages are of about PAGE_BYTES. */
export interface LogHub {
  /** The entry with just this id, or null. Throws AppError `store_unavailable`. */
  find(jobId: string, id: EntryId): Promise<LogEntry | null>;
  /** Joins the readers of a job's log; every reader is to be closed. */
  open(jobId: string): LogReader;
}

export interface LogReader {
  /**
   * Some entries, those that follow `from` (inclusive) without a gap. Where there are none yet it waits for them, up to
   * `timeoutMs` or until `signal` fires, and may come back with none; with a signal that has already fired it does not
   * wait, and none means that all is read. `gone`: the job was removed. While the store is away it waits for it: a
   * stream that broke off then would come back to a 503, after which an EventSource gives up for good.
   */
  next(from: EntryId, timeoutMs: number, signal: AbortSignal): Promise<Entries>;
  /** Leaves; with the last reader all that was kept for them goes. */
  close(): void;
}

type Entries = readonly LogEntry[] | "gone";

/** Who waits, and for how long. */
interface Wait {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly reader: SharedReader;
}

/** One hub serves all the readers that a process has of a store. Tests look at a quiet log more often. */
export function createLogHub(store: HubStore, quietLookMs = QUIET_LOOK_MS): LogHub {
  const logs = new Map<string, SharedLog>();
  return {
    async find(jobId, id) {
      const kept = logs.get(jobId)?.find(id) ?? null;
      if (kept !== null) return kept;
      const [entry] = await store.readLog({ id: jobId, from: id, maxBytes: 1 });
      return entry !== undefined && compareEntryIds(entry, id) === 0 ? entry : null;
    },
    open(jobId) {
      const log = logs.get(jobId) ?? new SharedLog(store, jobId, quietLookMs);
      logs.set(jobId, log);
      log.readers += 1;
      return new SharedReader(log, () => {
        log.readers -= 1;
        if (log.readers > 0) return;
        logs.delete(jobId);
        log.close();
      });
    },
  };
}

class SharedReader implements LogReader {
  readonly #log: SharedLog;
  readonly #onClose: () => void;
  #isOpen = true;
  /** Kept from one call to the next; calls that overlap have one each. */
  #patience: Patience | null = null;

  constructor(log: SharedLog, onClose: () => void) {
    this.#log = log;
    this.#onClose = onClose;
  }

  next(from: EntryId, timeoutMs: number, signal: AbortSignal): Promise<Entries> {
    return this.#log.next(from, { timeoutMs, signal, reader: this });
  }

  takePatience(): Patience {
    const patience = this.#patience ?? new Patience();
    this.#patience = null;
    return patience;
  }

  giveBack(patience: Patience): void {
    if (this.#isOpen && this.#patience === null) this.#patience = patience;
    else patience.close();
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#patience?.close();
    this.#onClose();
  }
}

/** The log of one job, for all who read it. */
class SharedLog {
  readers = 0;
  readonly #store: HubStore;
  readonly #id: string;
  readonly #quietLookMs: number;
  readonly #closed = new AbortController();
  readonly #waiters = new Set<Patience>();
  /** Begins where the first reader does, and follows the one that is furthest. */
  #ring: EntryRing | null = null;
  /** The read at the ring's end that is under way. */
  #reading: Promise<"more" | "nothing" | "gone"> | null = null;
  /** Most likely nothing follows the ring: what comes next is waited for, and not read in vain before. A mistake costs that one call. */
  #isCurrent = false;
  /** The one wait for what follows the ring is not over. */
  #isQuiet = false;
  #restUntilMs = 0;

  constructor(store: HubStore, id: string, quietLookMs: number) {
    this.#store = store;
    this.#id = id;
    this.#quietLookMs = quietLookMs;
  }

  find(id: EntryId): LogEntry | null {
    return this.#ring?.find(id) ?? null;
  }

  close(): void {
    this.#closed.abort();
  }

  /** LogReader.next */
  async next(from: EntryId, wait: Wait): Promise<Entries> {
    const { signal } = wait;
    const ring = (this.#ring ??= new EntryRing(from, RING_BYTES));
    for (;;) {
      if (ring.startsAfter(from)) return await this.#nextFromStore(from, wait);
      const page = ring.page(from, PAGE_BYTES);
      if (page.length > 0) return page;
      if (this.#isCurrent && !ring.endsBefore(from) && !signal.aborted)
        void this.#stayQuiet(ring, { isAway: false });
      if (this.#isQuiet && !signal.aborted) {
        const patience = wait.reader.takePatience();
        this.#waiters.add(patience);
        await patience.wait(wait.timeoutMs, signal);
        this.#waiters.delete(patience);
        wait.reader.giveBack(patience);
        return ring.startsAfter(from) ? [] : ring.page(from, PAGE_BYTES);
      }
      // Who is further on than the ring does not read on with the others, but begins it anew below.
      const maxBytes = ring.endsBefore(from) ? PAGE_BYTES : RING_PAGE_BYTES;
      this.#reading ??= this.#readOn(ring, maxBytes).finally(() => {
        this.#reading = null;
      });
      const found = await this.#reading;
      if (found === "gone") return "gone";
      if (found === "nothing") return [];
      // It was pages behind: the reader at the log's end is the one with whom those who come later will meet.
      if (ring.endsBefore(from)) ring.restart(from);
    }
  }

  /** Reads what follows the ring, for everybody. */
  async #readOn(ring: EntryRing, maxBytes: number): Promise<"more" | "nothing" | "gone"> {
    const { end } = ring;
    const entries = await this.#read(end, maxBytes);
    if (entries === "gone") return "gone";
    // A ring that began anew in the meantime has no place for these.
    if (compareEntryIds(ring.end, end) !== 0) return "more";
    if (entries !== "away" && entries.length > 0) {
      ring.push(entries);
      const bytes = entries.reduce((total, entry) => total + entryMemoryBytes(entry), 0);
      // There was room for one more of nearly any size. The wait for one of so many frames that it had none ends at once.
      this.#isCurrent = bytes <= maxBytes - FULL_ENTRY_MEMORY_BYTES;
      return "more";
    }
    void this.#stayQuiet(ring, { isAway: entries === "away" });
    return "nothing";
  }

  /** The one wait for what comes after the ring, unless there is one already. */
  async #stayQuiet(ring: EntryRing, { isAway }: { readonly isAway: boolean }): Promise<void> {
    if (this.#isQuiet) return;
    this.#isQuiet = true;
    const { end } = ring;
    const timeoutMs = isAway ? OUTAGE_PAUSE_MS : this.#quietLookMs;
    const restMs = this.#restUntilMs - performance.now();
    if (restMs >= 1) await pause(restMs, this.#closed.signal);
    const entry = await this.#untilMore(end, { isAway, timeoutMs }, this.#closed.signal);
    this.#isQuiet = false;
    this.#isCurrent = entry !== null && compareEntryIds(ring.end, end) === 0;
    if (entry !== null && this.#isCurrent) ring.push([entry]);
    const restMsOfAll = Math.min(this.#waiters.size * REST_MS_PER_READER, MAX_REST_MS);
    this.#restUntilMs = performance.now() + restMsOfAll;
    for (const waiter of this.#waiters) waiter.wake();
  }

  /**
   * For a reader that is behind the ring. All of it goes by what the store holds now: one that lost its tail may end
   * before the ring begins, and to go on in the ring would skip what is yet to come again in between.
   */
  async #nextFromStore(from: EntryId, { timeoutMs, signal }: Wait): Promise<Entries> {
    const entries = await this.#read(from, PAGE_BYTES);
    if (entries === "gone") return "gone";
    if (entries !== "away" && entries.length > 0) return entries;
    if (signal.aborted) return [];
    const entry = await this.#untilMore(from, { isAway: entries === "away", timeoutMs }, signal);
    return entry === null ? [] : [entry];
  }

  async #read(from: EntryId, maxBytes: number): Promise<Entries | "away"> {
    const id = this.#id;
    try {
      const entries = await this.#store.readLog({ id, from, maxBytes });
      return entries.length === 0 && (await this.#store.get(id)) === null ? "gone" : entries;
    } catch (error) {
      if (error instanceof AppError && error.code === "store_unavailable") return "away";
      throw error;
    }
  }

  async #untilMore(
    from: EntryId,
    { isAway, timeoutMs }: { readonly isAway: boolean; readonly timeoutMs: number },
    signal: AbortSignal,
  ): Promise<LogEntry | null> {
    if (!isAway) {
      const after = entryIdBefore(from);
      return await this.#store.waitForEntries({ id: this.#id, after, timeoutMs }, signal);
    }
    await pause(Math.min(timeoutMs, OUTAGE_PAUSE_MS), signal);
    return null;
  }
}
