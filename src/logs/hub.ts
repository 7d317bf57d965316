import { AppError } from "../errors.ts";
import {
  compareEntryIds,
  entryByteLength,
  type EntryId,
  entryIdBefore,
  type LogEntry,
} from "../jobs/log-entry.ts";
import { pause } from "../lifecycle.ts";
import type { Store } from "../store/store.ts";
import { startWaiting, type Waiter } from "../store/waiter.ts";
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
/** After a page of the log's end that is smaller than this there is most likely no more. */
const SHORT_PAGE_BYTES = PAGE_BYTES / 2;
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
      let isOpen = true;
      return {
        next: (from, timeoutMs, signal) => log.next(from, timeoutMs, signal),
        close() {
          if (!isOpen) return;
          isOpen = false;
          log.readers -= 1;
          if (log.readers > 0) return;
          logs.delete(jobId);
          log.close();
        },
      };
    },
  };
}

/** The log of one job, for all who read it. */
class SharedLog {
  readers = 0;
  readonly #store: HubStore;
  readonly #id: string;
  readonly #quietLookMs: number;
  readonly #closed = new AbortController();
  readonly #waiters = new Set<Waiter>();
  /** Begins where the first reader does, and follows the one that is furthest. */
  #ring: EntryRing | null = null;
  /** The read at the ring's end that is under way. */
  #reading: Promise<"more" | "nothing" | "gone"> | null = null;
  /** Nothing is known to follow the ring, and the one wait for more is not over. */
  #isQuiet = false;

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
  async next(from: EntryId, timeoutMs: number, signal: AbortSignal): Promise<Entries> {
    const ring = (this.#ring ??= new EntryRing(from, RING_BYTES));
    for (;;) {
      if (ring.startsAfter(from)) return await this.#nextFromStore(from, timeoutMs, signal);
      const page = ring.page(from, PAGE_BYTES);
      if (page.length > 0) return page;
      if (this.#isQuiet && !signal.aborted) {
        await this.#untilNews(timeoutMs, signal);
        return [];
      }
      this.#reading ??= this.#readOn(ring).finally(() => {
        this.#reading = null;
      });
      const found = await this.#reading;
      if (found === "gone") return "gone";
      if (found === "nothing") return [];
      // It was pages behind: the reader at the log's end is the one with whom those who come later will meet.
      if (ring.endsBefore(from)) ring.restart(from);
    }
  }

  async #untilNews(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const waiter = startWaiting(timeoutMs, signal, () => this.#waiters.delete(waiter));
    this.#waiters.add(waiter);
    await waiter.done;
  }

  /** Reads what follows the ring, for everybody. */
  async #readOn(ring: EntryRing): Promise<"more" | "nothing" | "gone"> {
    const { end } = ring;
    const entries = await this.#read(end);
    if (entries === "gone") return "gone";
    if (entries !== "away" && entries.length > 0) {
      // A ring that began anew in the meantime has no place for these.
      if (compareEntryIds(ring.end, end) !== 0) return "more";
      ring.push(entries);
      // Most likely that was all: the wait, which ends at once where it was not, spares a read that finds nothing.
      const bytes = entries.reduce((total, entry) => total + entryByteLength(entry), 0);
      if (bytes < SHORT_PAGE_BYTES) void this.#stayQuiet(ring.end, { isAway: false });
      return "more";
    }
    void this.#stayQuiet(end, { isAway: entries === "away" });
    return "nothing";
  }

  /** The one wait for what comes after `end`, unless there is one already. */
  async #stayQuiet(end: EntryId, { isAway }: { readonly isAway: boolean }): Promise<void> {
    if (this.#isQuiet) return;
    this.#isQuiet = true;
    const timeoutMs = isAway ? OUTAGE_PAUSE_MS : this.#quietLookMs;
    await this.#untilMore(end, { isAway, timeoutMs }, this.#closed.signal);
    this.#isQuiet = false;
    for (const waiter of this.#waiters) waiter.wake();
  }

  /**
   * For a reader that is behind the ring. All of it goes by what the store holds now: one that lost its tail may end
   * before the ring begins, and to go on in the ring would skip what is yet to come again in between.
   */
  async #nextFromStore(from: EntryId, timeoutMs: number, signal: AbortSignal): Promise<Entries> {
    const entries = await this.#read(from);
    if (entries === "gone") return "gone";
    if (entries !== "away" && entries.length > 0) return entries;
    if (!signal.aborted)
      await this.#untilMore(from, { isAway: entries === "away", timeoutMs }, signal);
    return [];
  }

  async #read(from: EntryId): Promise<Entries | "away"> {
    const id = this.#id;
    try {
      const entries = await this.#store.readLog({ id, from, maxBytes: PAGE_BYTES });
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
  ): Promise<void> {
    if (isAway) await pause(Math.min(timeoutMs, OUTAGE_PAUSE_MS), signal);
    else
      await this.#store.waitForEntries(
        { id: this.#id, after: entryIdBefore(from), timeoutMs },
        signal,
      );
  }
}
