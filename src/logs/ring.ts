import {
  compareEntryIds,
  type EntryId,
  entryIdAfter,
  entryMemoryBytes,
  type LogEntry,
} from "../jobs/log-entry.ts";

/**
 * A stretch of a log: every entry of it from one id up to another. It grows at its end, and past `maxBytes` it loses
 * its oldest entries. Those who read it share the entries; nothing is copied.
 */
export class EntryRing {
  readonly #maxBytes: number;
  #entries: LogEntry[] = [];
  #bytes = 0;
  #start: EntryId;
  #end: EntryId;

  /** Begins empty, at `start`. */
  constructor(start: EntryId, maxBytes: number) {
    this.#start = start;
    this.#end = start;
    this.#maxBytes = maxBytes;
  }

  /** Of the stretch, exclusive: where the log is to be read for more. */
  get end(): EntryId {
    return this.#end;
  }

  /** Whether a reader at `from` needs something older than this. */
  startsAfter(from: EntryId): boolean {
    return compareEntryIds(from, this.#start) < 0;
  }

  /** Whether a reader at `from` is further on than this. */
  endsBefore(from: EntryId): boolean {
    return compareEntryIds(this.#end, from) < 0;
  }

  /** Adds all that the log held from `end` on, or the first of it. */
  push(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      this.#entries.push(entry);
      this.#bytes += entryMemoryBytes(entry);
      this.#end = entryIdAfter(entry);
    }
    let oldest = 0;
    while (this.#bytes > this.#maxBytes) {
      const entry = this.#entries[oldest++];
      if (entry === undefined) break;
      this.#bytes -= entryMemoryBytes(entry);
      this.#start = entryIdAfter(entry);
    }
    this.#entries.splice(0, oldest);
  }

  /** Forgets all and begins anew at `start`. */
  restart(start: EntryId): void {
    this.#entries = [];
    this.#bytes = 0;
    this.#start = start;
    this.#end = start;
  }

  /** The entries from `from` on, up to the one that would pass `maxBytes` of memory, but at least one if there is one. */
  page(from: EntryId, maxBytes: number): readonly LogEntry[] {
    const page: LogEntry[] = [];
    let bytes = 0;
    for (let index = this.#indexOf(from); index < this.#entries.length; index++) {
      const entry = this.#entries[index];
      if (entry === undefined) break;
      bytes += entryMemoryBytes(entry);
      if (bytes > maxBytes && page.length > 0) break;
      page.push(entry);
    }
    return page;
  }

  /** The entry with just this id. */
  find(id: EntryId): LogEntry | null {
    const entry = this.#entries[this.#indexOf(id)];
    return entry !== undefined && compareEntryIds(entry, id) === 0 ? entry : null;
  }

  /** Of the first entry that is not before `id`. */
  #indexOf(id: EntryId): number {
    let [low, high] = [0, this.#entries.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const entry = this.#entries[middle];
      if (entry !== undefined && compareEntryIds(entry, id) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
