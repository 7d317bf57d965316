import { compareEntryIds, type EntryId, type LogEntry } from "../../jobs/log-entry.ts";
import { startWaiting, type Waiter } from "../waiter.ts";
import { BLOCK_MS, BlockingConnection } from "./blocking-connection.ts";
import { decodeEntry, encodeEntryId } from "./codec.ts";
import type { DataConnection } from "./connection.ts";
import type { Keys } from "./keys.ts";

interface Watch {
  readonly id: string;
  readonly after: EntryId;
  readonly waiter: Waiter;
  /** What ended it, if it is the only entry after `after`. */
  found: LogEntry | null;
}

const BEFORE_ALL: EntryId = { epoch: 0, seq: 0 };

/**
 * Waits for log entries, for all callers of the process on one connection: one XREAD blocks on every watched log. A new
 * watch that the blocked command does not cover ends it early (CLIENT UNBLOCK from the data connection), and the next
 * turn takes all watches there are by then.
 */
export class LogTail {
  readonly #connection: BlockingConnection;
  readonly #data: DataConnection;
  readonly #keys: Keys;
  readonly #watches = new Map<string, Set<Watch>>();
  /** What the blocked command asks for: the log's id -> the entry after which it answers. */
  #asked: ReadonlyMap<string, EntryId> = new Map();
  #reading = false;
  #interrupting = false;
  #closed = false;

  constructor(options: {
    readonly url: string;
    readonly data: DataConnection;
    readonly keys: Keys;
  }) {
    this.#connection = new BlockingConnection(options.url);
    this.#data = options.data;
    this.#keys = options.keys;
  }

  async wait(
    request: { readonly id: string; readonly after: EntryId | null; readonly timeoutMs: number },
    signal: AbortSignal,
  ): Promise<LogEntry | null> {
    if (this.#closed || signal.aborted) return null;
    const { id } = request;
    const watches = this.#watches.get(id) ?? new Set();
    const waiter = startWaiting(request.timeoutMs, signal, () => {
      watches.delete(watch);
      if (watches.size === 0 && this.#watches.get(id) === watches) this.#watches.delete(id);
    });
    const watch: Watch = { id, after: request.after ?? BEFORE_ALL, waiter, found: null };
    watches.add(watch);
    this.#watches.set(id, watches);
    if (!this.#reading) void this.#read();
    else if (!this.#covers(watch)) void this.#interrupt();
    await waiter.done;
    return watch.found;
  }

  close(): void {
    this.#closed = true;
    this.#connection.close();
    for (const watch of this.#everyWatch()) watch.waiter.wake();
  }

  #everyWatch(): readonly Watch[] {
    return [...this.#watches.values()].flatMap((watches) => [...watches]);
  }

  #covers({ id, after }: Watch): boolean {
    const asked = this.#asked.get(id);
    return asked !== undefined && compareEntryIds(asked, after) <= 0;
  }

  async #read(): Promise<void> {
    this.#reading = true;
    while (this.#watches.size > 0 && !this.#closed) {
      const items = await this.#connection.use(async (client) => {
        // Only now, connected: a watch that came while the connection was made is taken along.
        this.#asked = this.#earliest();
        const ids = [...this.#asked.keys()];
        const after = [...this.#asked.values()].map(encodeEntryId);
        // Of two entries there may be more: they are for readLog to fetch, in pages.
        return await client.xreadBuffer(
          "COUNT",
          2,
          "BLOCK",
          BLOCK_MS,
          "STREAMS",
          ...ids.map(this.#keys.log),
          ...after,
        );
      });
      const asked = this.#asked;
      this.#asked = new Map();
      for (const [key, found] of items ?? []) {
        const id = key.toString().slice(this.#keys.logPrefix.length);
        this.#answer(id, asked.get(id) ?? BEFORE_ALL, found.map(decodeEntry));
      }
    }
    this.#reading = false;
  }

  /** `found`: the first entries of a log after `asked`. */
  #answer(id: string, asked: EntryId, [first, second]: readonly LogEntry[]): void {
    if (first === undefined) return;
    for (const watch of this.#watches.get(id) ?? []) {
      if (compareEntryIds(watch.after, first) >= 0) continue;
      if (second === undefined && compareEntryIds(asked, watch.after) <= 0) watch.found = first;
      watch.waiter.wake();
    }
  }

  #earliest(): ReadonlyMap<string, EntryId> {
    const earliest = new Map<string, EntryId>();
    for (const { id, after } of this.#everyWatch()) {
      const known = earliest.get(id);
      if (known === undefined || compareEntryIds(after, known) < 0) earliest.set(id, after);
    }
    return earliest;
  }

  /**
   * Ends the blocked command until it asks for every watch. Repeated, because an unblock that overtakes the XREAD it is
   * meant for does nothing. One that comes too late ends a newer XREAD early, which only costs it one more turn.
   */
  async #interrupt(): Promise<void> {
    if (this.#interrupting) return;
    this.#interrupting = true;
    while (!this.#closed && this.#everyWatch().some((watch) => !this.#covers(watch))) {
      const id = this.#connection.serverSideId;
      // No connection yet: the turn that makes one asks for all.
      if (id === null) break;
      try {
        await this.#data.attempt(async (client) => await client.client("UNBLOCK", id));
      } catch {
        // Without a server there is nothing to interrupt; the watchdog ends the command.
        break;
      }
    }
    this.#interrupting = false;
  }
}
