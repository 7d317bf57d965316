import { AppError } from "../../errors.ts";
import { endNote, type JobRecord, type NewJob } from "../../jobs/job.ts";
import type { EntryId, LogEntry } from "../../jobs/log-entry.ts";
import type { KeyUse, SubmitLimits } from "../../jobs/quotas.ts";
import type { DueCallback, SettleCallbackRequest, TakeCallbacksRequest } from "../outbox.ts";
import type {
  AppendAnswer,
  AppendRequest,
  BeatAnswer,
  BeatRequest,
  CancelAnswer,
  ClaimRequest,
  FinishAnswer,
  FinishRequest,
  LeaseKey,
  ListAnswer,
  ListRequest,
  ReadLogRequest,
  Store,
  StoreStats,
  SubmitKey,
  SubmitOnceRequest,
  SweepAnswer,
  WorkerInfo,
} from "../store.ts";
import type { ClaimAnswer } from "./claim.ts";
import { decodeRecord, encodeEntry, encodeNewJob, type RecordRow } from "./codec.ts";
import { NOTHING_RECOVERED } from "./messages.ts";
import type { Reads, Writes } from "./operations.ts";
import type { ExpiredRequest } from "./retain.ts";
import { LogTail } from "./tail.ts";
import type { ThreadLink } from "./thread-link.ts";
import { Wakeups } from "./wakeups.ts";

const WORK_TOPIC = "work";

function stored(row: RecordRow | undefined): JobRecord {
  if (row === undefined) throw new AppError("internal", "A job was not stored");
  return decodeRecord(row);
}

/** Translates between the port and the two threads, and wakes whoever waits for what a call has done. */
export class SqliteStore implements Store {
  readonly kind = "sqlite";
  /** What is acknowledged is on the disk (synchronous=FULL). */
  readonly unsafeMs = 0;
  readonly #writer: ThreadLink<Writes>;
  readonly #reader: ThreadLink<Reads>;
  readonly #tail: LogTail;
  readonly #wakeups = new Wakeups<never>();
  /** At the opening, until a sweep has told of it. */
  #recovered: SweepAnswer;
  #isPurging = false;
  /** Whether a claim may find something: this process alone puts jobs into the queue, so that nobody need be asked. */
  #mayHaveWork = true;
  /** It is told to whoever has just submitted it that it waits for nobody: not worth a trip to the file. */
  #lastClaimed: string | null = null;

  constructor(writer: ThreadLink<Writes>, reader: ThreadLink<Reads>, recovered: SweepAnswer) {
    this.#writer = writer;
    this.#reader = reader;
    this.#tail = new LogTail(reader);
    this.#recovered = recovered;
    // A predecessor may have left some.
    this.#purgeInBackground();
  }

  async submit(job: NewJob, limits?: SubmitLimits): Promise<JobRecord> {
    this.#wakeWorkers();
    return stored(await this.#writer.call("submit", encodeNewJob(job, limits)));
  }

  async submitOnce(given: SubmitOnceRequest): Promise<JobRecord | "mismatch"> {
    const { job, key, digest, limits } = given;
    const request = { job: encodeNewJob(job, limits), key, digest };
    this.#wakeWorkers();
    const row = await this.#writer.call("submitOnce", request);
    return row === "mismatch" ? row : stored(row);
  }

  async findSubmitted(key: SubmitKey): Promise<JobRecord | "mismatch" | null> {
    const row = await this.#reader.call("findSubmitted", key);
    return row === null || row === "mismatch" ? row : decodeRecord(row);
  }

  /**
   * Called as soon as a job is on its way to the writer: a claim that this wakes comes behind it in the same list, and the
   * two share one commit.
   */
  #wakeWorkers(): void {
    this.#mayHaveWork = true;
    this.#wakeups.wake(WORK_TOPIC);
  }

  async keyUse(keyId: string): Promise<KeyUse> {
    return await this.#reader.call("keyUse", keyId);
  }

  async get(id: string, onlyOf: string | null = null): Promise<JobRecord | null> {
    const row = await this.#reader.call("getRecord", { id, onlyOf });
    return row === null ? null : decodeRecord(row);
  }

  async list(request: ListRequest): Promise<ListAnswer> {
    const { rows, nextCursor } = await this.#reader.call("list", request);
    const items = rows.map(decodeRecord);
    return nextCursor === null ? { items } : { items, nextCursor };
  }

  async queuePosition(id: string): Promise<number | null> {
    return id === this.#lastClaimed ? null : await this.#reader.call("queuePosition", id);
  }

  async requestCancel(id: string): Promise<CancelAnswer> {
    const answer = await this.#writer.call("requestCancel", id);
    if (answer === "cancelled") this.#tail.changed(id);
    return answer;
  }

  async claim(
    request: ClaimRequest,
    onTaken?: (job: JobRecord) => void,
  ): Promise<JobRecord | null> {
    const onAhead = ({ row }: ClaimAnswer) => {
      if (row !== null) onTaken?.(decodeRecord(row));
    };
    // Before the answer: what is submitted behind this claim sets it again.
    this.#mayHaveWork = false;
    let row: RecordRow | null;
    try {
      const ahead = onTaken === undefined ? undefined : onAhead;
      const answer = await this.#writer.call("claim", request, ahead);
      row = answer.row;
      if (answer.isMoreQueued) this.#mayHaveWork = true;
    } catch (error) {
      this.#mayHaveWork = true;
      throw error;
    }
    if (row === null) return null;
    const job = decodeRecord(row);
    this.#lastClaimed = job.id;
    this.#tail.changed(job.id);
    return job;
  }

  async waitForWork(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const isDue = async () => this.#mayHaveWork;
    await this.#wakeups.wait(WORK_TOPIC, { timeoutMs, isDue }, signal);
  }

  async append(request: AppendRequest): Promise<AppendAnswer> {
    const { id, epoch, owner, seq, body, log } = request;
    const entry = { epoch, seq, ...body };
    const row = { id, epoch, owner, entry: encodeEntry(entry), log };
    const answer = await this.#writer.call("append", row);
    if (answer.kind === "stored") this.#tail.appended(id, entry);
    return answer;
  }

  async beat(request: BeatRequest): Promise<BeatAnswer> {
    return await this.#reader.call("beat", request);
  }

  async finish(request: FinishRequest): Promise<FinishAnswer> {
    const { id, epoch, outcome } = request;
    const answer = await this.#writer.call("finish", request);
    if (answer.kind !== "finished") return answer;
    const { kind, endSeq: seq } = answer;
    if (seq === null) this.#tail.changed(id);
    else this.#tail.ended(id, { epoch, seq, kind: "end", end: endNote(outcome) });
    return { kind };
  }

  async release(lease: LeaseKey): Promise<void> {
    if (lease.id === this.#lastClaimed) this.#lastClaimed = null;
    const released = await this.#writer.call("release", lease);
    if (released === "requeued") this.#wakeWorkers();
    if (released === "cancelled") this.#tail.changed(lease.id);
  }

  /**
   * Nothing can run out here: claims live as long as this process, and opening the file has ended all others, of which the
   * first sweep tells. Asks all the same, so that it fails when the store does.
   */
  async sweep(): Promise<SweepAnswer> {
    await this.#reader.call("ping", undefined);
    const recovered = this.#recovered;
    this.#recovered = NOTHING_RECOVERED;
    return recovered;
  }

  async releaseOwner(owner: string): Promise<SweepAnswer> {
    this.#lastClaimed = null;
    const answer = await this.#writer.call("releaseOwner", owner);
    if (answer.requeued.length > 0) this.#wakeWorkers();
    for (const id of [...answer.lost, ...answer.cancelled]) this.#tail.changed(id);
    return answer;
  }

  async leaseOwners(): Promise<readonly string[]> {
    return await this.#reader.call("leaseOwners", undefined);
  }

  async readLog(request: ReadLogRequest): Promise<readonly LogEntry[]> {
    return await this.#tail.read(request);
  }

  async lastEntryId(id: string): Promise<EntryId | null> {
    return await this.#reader.call("lastEntryId", id);
  }

  async waitForEntries(
    request: { readonly id: string; readonly after: EntryId | null; readonly timeoutMs: number },
    signal: AbortSignal,
  ): Promise<LogEntry | null> {
    return await this.#tail.wait(request, signal);
  }

  async expired(request: ExpiredRequest): Promise<readonly string[]> {
    return await this.#reader.call("expired", request);
  }

  async remove(id: string): Promise<boolean> {
    if (id === this.#lastClaimed) this.#lastClaimed = null;
    const removed = await this.#writer.call("remove", id);
    if (removed) this.#purgeInBackground();
    return removed;
  }

  async takeCallbacks(request: TakeCallbacksRequest): Promise<readonly DueCallback[]> {
    // So that looking into an empty outbox costs no commit.
    if (!(await this.#reader.call("isCallbackDue", undefined))) return [];
    return await this.#writer.call("takeCallbacks", request);
  }

  async settleCallback(request: SettleCallbackRequest): Promise<void> {
    await this.#writer.call("settleCallback", request);
  }

  async announceWorker(info: WorkerInfo): Promise<void> {
    await this.#writer.call("announceWorker", info);
  }

  async workers(): Promise<readonly WorkerInfo[]> {
    return await this.#reader.call("workers", undefined);
  }

  async stats(): Promise<StoreStats> {
    return await this.#reader.call("stats", undefined);
  }

  async ping(): Promise<void> {
    await Promise.all([this.#writer.call("ping", undefined), this.#reader.call("ping", undefined)]);
  }

  async close(): Promise<void> {
    this.#wakeups.close();
    this.#tail.close();
    // The writer last: closing the last connection folds the write-ahead log into the file.
    await this.#reader.close();
    await this.#writer.close();
  }

  /** Deletes removed logs step by step, other commits in between. What a failure leaves is taken up by the next removal. */
  #purgeInBackground(): void {
    if (this.#isPurging) return;
    this.#isPurging = true;
    const purgeAll = async () => {
      let more = true;
      while (more) more = await this.#writer.call("purge", undefined);
    };
    const stop = () => {
      this.#isPurging = false;
    };
    purgeAll().then(stop, stop);
  }
}
