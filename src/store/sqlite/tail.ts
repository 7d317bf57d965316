import {
  compareEntryIds,
  type EntryId,
  entryIdAfter,
  type LogEntry,
} from "../../jobs/log-entry.ts";
import type { ReadLogRequest } from "../store.ts";
import { decodeEntry } from "./codec.ts";
import type { Reads } from "./operations.ts";
import { RecentEntries } from "./recent-entries.ts";
import type { ThreadLink } from "./thread-link.ts";
import { Wakeups } from "./wakeups.ts";

/** The logs as their readers see them. Who follows one that grows is given what was committed, without a look at the file. */
export class LogTail {
  readonly #reader: ThreadLink<Reads>;
  readonly #recent = new RecentEntries();
  readonly #wakeups = new Wakeups<LogEntry>();

  constructor(reader: ThreadLink<Reads>) {
    this.#reader = reader;
  }

  /** To be called for each entry that was appended, once it is committed. */
  appended(id: string, entry: LogEntry): void {
    this.#recent.add(id, entry);
    this.#wakeups.wake(id, entry);
  }

  /** To be called once a log's end is committed: nothing comes after it, so that nobody will ask for it who does not wait now. */
  ended(id: string, entry: LogEntry): void {
    this.#recent.forget(id);
    this.#wakeups.wake(id, entry);
  }

  /** To be called once an entry of another kind is committed. */
  changed(id: string): void {
    this.#recent.forget(id);
    this.#wakeups.wake(id);
  }

  /** Store.readLog */
  async read(request: ReadLogRequest): Promise<readonly LogEntry[]> {
    const recent = this.#recent.read(request);
    return recent ?? (await this.#reader.call("readLog", request)).map(decodeEntry);
  }

  /** Store.waitForEntries */
  async wait(
    request: { readonly id: string; readonly after: EntryId | null; readonly timeoutMs: number },
    signal: AbortSignal,
  ): Promise<LogEntry | null> {
    const { id, after, timeoutMs } = request;
    const from = after === null ? { epoch: 0, seq: 0 } : entryIdAfter(after);
    const [next, more] = this.#recent.read({ id, from, maxBytes: Number.MAX_SAFE_INTEGER }) ?? [];
    if (next !== undefined) return more === undefined ? next : null;
    const isDue = async () => {
      if (after !== null && this.#recent.isLast(id, after)) return false;
      const last = await this.#reader.call("lastEntryId", id);
      return last !== null && (after === null || compareEntryIds(last, after) > 0);
    };
    const entry = await this.#wakeups.wait(id, { timeoutMs, isDue }, signal);
    return entry !== null && compareEntryIds(entry, from) === 0 ? entry : null;
  }

  /** Ends every wait. */
  close(): void {
    this.#recent.clear();
    this.#wakeups.close();
  }
}
