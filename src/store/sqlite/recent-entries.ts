import {
  compareEntryIds,
  ENTRY_MAX_BYTES,
  type EntryId,
  entryIdAfter,
  entryMemoryBytes,
  type LogEntry,
} from "../../jobs/log-entry.ts";
import type { ReadLogRequest } from "../store.ts";

/** Of each log: more than what is committed together, which are eight full entries (logs/collect.ts). */
const MAX_BYTES = 10 * ENTRY_MAX_BYTES;

interface Recent {
  entries: LogEntry[];
  bytes: number;
}

/**
 * The last entries of logs that this process, the only one to write the file, appends to: whoever follows such a log is
 * given what was just committed, and does not read it back from the file. An entry that is here is in the file, and none
 * that the file has is missing between two that are here, or after them.
 */
export class RecentEntries {
  readonly #logs = new Map<string, Recent>();

  /** Notes an entry that is committed. */
  add(id: string, entry: LogEntry): void {
    const recent = this.#logs.get(id);
    const last = recent?.entries.at(-1);
    // It was sent again, and was there already.
    if (last !== undefined && compareEntryIds(entry, last) <= 0) return;
    const isNext = last !== undefined && compareEntryIds(entry, entryIdAfter(last)) === 0;
    if (recent === undefined || !isNext) {
      this.#logs.set(id, { entries: [entry], bytes: entryMemoryBytes(entry) });
      return;
    }
    recent.entries.push(entry);
    recent.bytes += entryMemoryBytes(entry);
    while (recent.bytes > MAX_BYTES) {
      const oldest = recent.entries.shift();
      if (oldest === undefined) return;
      recent.bytes -= entryMemoryBytes(oldest);
    }
  }

  /** To be called once something else has written to the log. */
  forget(id: string): void {
    this.#logs.delete(id);
  }

  clear(): void {
    this.#logs.clear();
  }

  /** Entries from `from` on, as Store.readLog gives them; null where it takes the file to tell. */
  read({ id, from, maxBytes }: ReadLogRequest): readonly LogEntry[] | null {
    const { entries } = this.#logs.get(id) ?? { entries: [] };
    const [first] = entries;
    if (first === undefined || compareEntryIds(from, first) < 0) return null;
    const page: LogEntry[] = [];
    let bytes = 0;
    for (const entry of entries) {
      if (compareEntryIds(entry, from) < 0) continue;
      bytes += entryMemoryBytes(entry);
      if (bytes > maxBytes && page.length > 0) break;
      page.push(entry);
    }
    return page.length > 0 ? page : null;
  }

  /** Whether `entryId` is that of the last entry: if the file has more by now, there is going to be a call of add or forget. */
  isLast(id: string, entryId: EntryId): boolean {
    const last = this.#logs.get(id)?.entries.at(-1);
    return last !== undefined && compareEntryIds(last, entryId) === 0;
  }
}
