import type { LogSize } from "../jobs/job.ts";
import { entryMemoryBytes, type LogBody } from "../jobs/log-entry.ts";

/** How much and how long answered entries are kept; as long as the ends of jobs are (runner/recent-ends.ts). */
const MAX_BYTES = 4 * 1024 * 1024;
const KEEP_MS = 5_000;

/** An entry as it was sent to the store. */
export interface SentEntry<Answer> {
  readonly seq: number;
  readonly body: LogBody;
  /** The totals of the attempt with this entry. */
  readonly log: LogSize;
  readonly answer: Promise<Answer>;
  /** It was sent while the one before it had no answer. */
  readonly isAhead: boolean;
}

/** What was sent, in order: first what is answered, for a store may lose its last second in a crash; then what is under way. */
export class Spool<Answer> {
  #answered: { readonly entry: SentEntry<Answer>; readonly answeredAtMs: number }[] = [];
  #underWay: SentEntry<Answer>[] = [];
  #answeredBytes = 0;
  #underWayBytes = 0;

  /** Of all that is kept. */
  get memoryBytes(): number {
    return this.#answeredBytes + this.#underWayBytes;
  }

  get underWay(): readonly SentEntry<Answer>[] {
    return this.#underWay;
  }

  get underWayMemoryBytes(): number {
    return this.#underWayBytes;
  }

  add(entry: SentEntry<Answer>): void {
    this.#underWay.push(entry);
    this.#underWayBytes += entryMemoryBytes(entry.body);
  }

  /** The first entry that is under way is stored; what has been kept for long enough is forgotten. */
  shift(nowMs: number): void {
    const entry = this.#underWay.shift();
    if (entry === undefined) return;
    this.#underWayBytes -= entryMemoryBytes(entry.body);
    this.#answeredBytes += entryMemoryBytes(entry.body);
    this.#answered.push({ entry, answeredAtMs: nowMs });
    for (let [oldest] = this.#answered; oldest !== undefined; [oldest] = this.#answered) {
      if (nowMs - oldest.answeredAtMs < KEEP_MS && this.#answeredBytes <= MAX_BYTES) return;
      this.#answered.shift();
      this.#answeredBytes -= entryMemoryBytes(oldest.entry.body);
    }
  }

  /** Those after `lastSeq`, up to `untilSeq`; null where the first of them is forgotten. */
  between(lastSeq: number, untilSeq: number): readonly SentEntry<Answer>[] | null {
    const kept = [...this.#answered.map(({ entry }) => entry), ...this.#underWay];
    const entries = kept.filter(({ seq }) => seq > lastSeq && seq <= untilSeq);
    return entries[0]?.seq === lastSeq + 1 ? entries : null;
  }

  /** Gives up what is under way. */
  takeUnderWay(): readonly SentEntry<Answer>[] {
    const taken = this.#underWay;
    this.#underWay = [];
    this.#underWayBytes = 0;
    return taken;
  }
}
