import type { LogSize } from "../jobs/job.ts";
import { entryMemoryBytes, type LogBody } from "../jobs/log-entry.ts";

/** Memory of the answered entries of one job: what a crash of the store may take of a log; README.md says so ("What holds when something dies"). */
const MAX_BYTES = 4 * 1024 * 1024;

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
  readonly #keepMs: number;
  #answered: { readonly entry: SentEntry<Answer>; readonly answeredAtMs: number }[] = [];
  #underWay: SentEntry<Answer>[] = [];
  #answeredBytes = 0;
  #underWayBytes = 0;

  /** Answered entries are kept for `keepMs`, and no more of them than MAX_BYTES. */
  constructor(keepMs: number) {
    this.#keepMs = keepMs;
  }

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
      if (nowMs - oldest.answeredAtMs < this.#keepMs && this.#answeredBytes <= MAX_BYTES) return;
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
