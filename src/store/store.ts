import type { JobRecord, LogSize, NewJob, Priority } from "../jobs/job.ts";
import type { EntryId, LogBody, LogEntry } from "../jobs/log-entry.ts";
import type { Outcome } from "../jobs/outcome.ts";
import type { KeyUse, SubmitLimits } from "../jobs/quotas.ts";
import type { BeatAnswer, BeatRequest, ClaimRequest, LeaseKey } from "./lease.ts";
import type { ListAnswer, ListRequest } from "./listing.ts";
import type { Outbox } from "./outbox.ts";
import type { WorkerInfo } from "./worker-info.ts";

export type { BeatAnswer, BeatRequest, ClaimRequest, HeldClaim, LeaseKey } from "./lease.ts";
export type { ListAnswer, ListRequest } from "./listing.ts";
export type { WorkerInfo, WorkerRuntime } from "./worker-info.ts";

/*
 * The store is where jobs wait and are remembered, their logs included: a claim fences both at once.
 *
 * What holds whatever a driver, a worker or the store's server does, by the names that comments and tests use:
 *   I1   Acknowledged is kept: a submit that has resolved is listed, and ends in a terminal state. On SQLite it survives
 *        the host's crash, on Redis as much as that server's persistence does (the last second is lost at `everysec`).
 *   I2   One terminal state, once: nothing leads out of it, and the log has one end entry.
 *   I3   One visible epoch: once an epoch is claimed, nothing that an earlier one writes becomes visible.
 *   I4   Bounded recovery: the job of a worker that died runs again, or has ended, within lease + sweep + 1 s.
 *   I5   An attempt budget: workers that die count, and so many of them end the job as `lost` (jobs/retry.ts). A drain or
 *        an outage of the store does not count.
 *   I6   The log is exact: per epoch and stream a prefix of what the program wrote, without gap, repetition or reorder.
 *   I9   Bounded memory: no answer grows with the number of jobs or the length of a log.
 *   I11  Loops resume: 5 s after the store is back every call and every wait goes on, without a restart.
 *
 * Every member may throw AppError `store_unavailable` (the store did not answer: the step may or may not have happened)
 * or `storage_full`. Every step that changes something is idempotent by what identifies it, so that an unknown answer is
 * resolved by making the same call again. Times are the store's clock, never a caller's.
 */

export interface AppendRequest extends LeaseKey {
  /** 1 for the first entry of an epoch (0 is the attempt marker that claim wrote), then one more each. */
  readonly seq: number;
  readonly body: LogBody;
  /** The attempt's totals with this entry counted; they become the record's `log`. */
  readonly log: LogSize;
}

export type AppendAnswer =
  /** The entry is in the log, from this call or an earlier one of the same seq. */
  | { readonly kind: "stored" }
  /** The store has lost this epoch's tail: its last entry is `lastSeq`; send everything after that again. */
  | { readonly kind: "behind"; readonly lastSeq: number }
  /** Someone else's claim, the job's end or its removal came first: nothing of this epoch will be visible. Stop the run. */
  | { readonly kind: "fenced" };

export interface FinishRequest extends LeaseKey {
  /** The seq of the last entry that the caller has appended; 0 where there is none after the attempt marker. */
  readonly lastSeq: number;
  readonly outcome: Outcome;
  readonly log: LogSize;
  /** No entry tells of all `log.droppedBytes`, e.g. because there was no room for it: a gap entry is to come before the end. */
  readonly markGap?: boolean;
}

export type FinishAnswer =
  /** This claim has ended the job, with this call or an earlier one. */
  | { readonly kind: "finished" }
  /** As for append: the entries after `lastSeq` are to be sent again before the job may end. */
  | { readonly kind: "behind"; readonly lastSeq: number }
  /** Somebody else's terminal step or claim came first. */
  | { readonly kind: "fenced" };

export type CancelAnswer =
  /** It was queued; it has ended as `cancelled` and never runs. */
  | "cancelled"
  /** It is running; the worker that holds it has been told. */
  | "signalled"
  /** It had already ended; nothing changed. */
  | "ended"
  | "unknown";

export interface SweepAnswer {
  /** Jobs whose lease had run out (or whose owner was declared dead) and what became of them. */
  readonly requeued: readonly string[];
  readonly lost: readonly string[];
  readonly cancelled: readonly string[];
}

/** How a submit is known again that a client repeats. */
export interface SubmitKey {
  /** Names the client's intention; remembered for SUBMIT_ONCE_TTL_MS (timing.ts). */
  readonly key: string;
  /** Of all that the client sent: the same key with another digest is a mistake of the client's. */
  readonly digest: string;
}

/** A submit that a client may repeat: however often it does, there is one job. */
export interface SubmitOnceRequest extends SubmitKey {
  readonly job: NewJob;
  readonly limits?: SubmitLimits;
}

export interface ReadLogRequest {
  readonly id: string;
  /** The first entry to read, inclusive. An id that does not exist means the next one after it. */
  readonly from: EntryId;
  /** Stop before an entry that would bring the memory of all (entryMemoryBytes) over this, but give at least one. */
  readonly maxBytes: number;
}

/** What the store holds at one moment, for whoever watches it. */
export interface StoreStats {
  /**
   * Jobs that wait to be claimed. On Redis a little more than that for a while after the server has lost its last second:
   * ids that it entered twice count until a claim meets and drops them.
   */
  readonly queued: Readonly<Record<Priority, number>>;
  /** The time since the submission of the job that waits longest; null when none waits. */
  readonly oldestQueuedAgeMs: number | null;
  /** Leases that are held now. */
  readonly running: number;
  /** The workers that announced themselves in the last two minutes, and their slots together; unlike workers(), none may be left. */
  readonly workers: { readonly count: number; readonly slots: number };
}

export interface Store extends Outbox {
  readonly kind: "sqlite" | "redis";
  /** How long ago it may have acknowledged what a crash makes it lose: workers keep what they wrote for so long, logs and ends alike. */
  readonly unsafeMs: number;

  /**
   * Stores the record as `queued`, lists it, queues it by its priority and wakes a waiting worker, in one atomic step.
   * Durable once resolved (I1). A second call with the same id changes nothing. Resolves to the record.
   * In the same step one of `limits` that is reached refuses it, with AppError `queue_full` or `quota_exceeded`, and what is
   * stored is counted. A second call is neither refused nor counted.
   */
  submit(job: NewJob, limits?: SubmitLimits): Promise<JobRecord>;

  /**
   * As submit, unless a job was stored under this key before and is still there: then that job's record (its id tells it
   * from a new one) where the digest is the same, else `mismatch`. The key is remembered in the step that stores the job.
   * What finds a job is neither refused nor counted.
   */
  submitOnce(request: SubmitOnceRequest): Promise<JobRecord | "mismatch">;

  /**
   * What submitOnce would answer a repeated submit with; null where it would store the job. A look that promises nothing:
   * another submit may come between, so that null is to be followed by submitOnce.
   */
  findSubmitted(key: SubmitKey): Promise<JobRecord | "mismatch" | null>;

  /** What an API key uses now; of keys without a job, NO_USE. */
  keyUse(keyId: string): Promise<KeyUse>;

  /**
   * The record, or null where there is none (never submitted, or removed). With `onlyOf`, that API key's jobs are all there
   * are: any other's is answered as one that is not there, and at its cost.
   */
  get(id: string, onlyOf?: string | null): Promise<JobRecord | null>;

  /**
   * The jobs that the filter lets through, newest first. A page looks at a bounded number of jobs, and stops at
   * PAGE_RECORD_BYTES of their specs (I9). Throws `invalid_query`, with the field `/cursor`, for a cursor that no page gave.
   */
  list(request: ListRequest): Promise<ListAnswer>;

  /** How many queued jobs will be claimed before this one; null when it is not queued. */
  queuePosition(id: string): Promise<number | null>;

  /** A queued job ends as `cancelled` at once, its end entry written; a running one gets its flag set. Idempotent. */
  requestCancel(id: string): Promise<CancelAnswer>;

  /**
   * Takes the next job: high before normal before low priority, each with a head start of PRIORITY_HEAD_START_MS over the
   * next (timing.ts), and within each in the order of submission, so that one handed back by release, sweep or releaseOwner
   * comes before its equals, and of several such the older first. In one
   * atomic step: state `running`, a new epoch greater than every one before it, a lease, and the entry `<epoch>-0` of
   * kind attempt, after which nothing that an earlier epoch writes becomes visible (I3). null when nothing waits. The
   * same owner, slot and token answer the same job again while it is still running under that claim.
   * `onTaken` may be told of the job before this resolves, once: what it needs can be made ready while the claim is being stored.
   * Nothing of it may run, or be told, before this has resolved; when this rejects, the job may not have been claimed.
   */
  claim(request: ClaimRequest, onTaken?: (job: JobRecord) => void): Promise<JobRecord | null>;

  /**
   * Resolves when there may be something to claim (at once where the last claim left some), after `timeoutMs`, or when
   * `signal` fires. Never rejects. May resolve for nothing; a wake-up may be lost, so callers pass a finite timeout.
   */
  waitForWork(timeoutMs: number, signal: AbortSignal): Promise<void>;

  /** Adds one entry to the log of a job this owner holds (I6). Calls may overlap; then they come in order. Wakes waitForEntries. */
  append(request: AppendRequest): Promise<AppendAnswer>;

  /** Renews the leases of `held` (even one that has run out, as long as nobody swept it), and those of `unfinished`. */
  beat(request: BeatRequest): Promise<BeatAnswer>;

  /**
   * The job's end, in one atomic step: terminal state, outcome, the end entry, the lease gone, retention clock started.
   * `finished` again when this very claim had already finished; whichever terminal step came first stays (I2). `behind`
   * where the log does not hold the caller's `lastSeq`: then nothing has changed.
   */
  finish(request: FinishRequest): Promise<FinishAnswer>;

  /**
   * Hands a running job back to its place in the queue, or ends it as `cancelled` when that was asked for; the attempt is
   * not counted as a crash. A no-op when fenced.
   */
  release(lease: LeaseKey): Promise<void>;

  /**
   * Ends or requeues (I5) every job whose lease has run out. Where the store itself was paused (no sweep and
   * no beat for three sweep intervals) leases are extended once instead. Any number of processes may call it. The first call
   * on SQLite tells what became of the jobs that were running when it was opened.
   */
  sweep(): Promise<SweepAnswer>;

  /** Treats every lease of `owner`, a process known to be dead, as run out. */
  releaseOwner(owner: string): Promise<SweepAnswer>;

  /** The owners that hold a lease now. */
  leaseOwners(): Promise<readonly string[]>;

  /**
   * Entries in order from `from` on; empty when there are none (yet), or no such job. Entry ids are exact; the bytes are
   * the reader's to keep.
   */
  readLog(request: ReadLogRequest): Promise<readonly LogEntry[]>;

  /** The id of the log's last entry; null for an empty log or an unknown job. */
  lastEntryId(id: string): Promise<EntryId | null>;

  /**
   * Resolves as soon as the log of `id` holds an entry after `after` (null: any entry), after `timeoutMs`, or when
   * `signal` fires. To that entry if it is at hand and the only one, so that it need not be read; else to null, which says
   * nothing. Never rejects. Costs no connection and no thread per caller.
   */
  waitForEntries(
    request: { readonly id: string; readonly after: EntryId | null; readonly timeoutMs: number },
    signal: AbortSignal,
  ): Promise<LogEntry | null>;

  /** Ids of ended jobs that finished before now - `olderThanMs`, oldest first, at most `limit`. */
  expired(request: {
    readonly olderThanMs: number;
    readonly limit: number;
  }): Promise<readonly string[]>;

  /** Removes an ended job completely: record, log, listing. false when it is active or unknown. */
  remove(id: string): Promise<boolean>;

  /** Remembers what a worker offers; call it again at least every minute. */
  announceWorker(info: WorkerInfo): Promise<void>;

  /** The workers that announced themselves in the last two minutes; when there are none, the last that did. */
  workers(): Promise<readonly WorkerInfo[]>;

  /** How much waits and runs. Cheap enough for every few seconds, however long the queue is. */
  stats(): Promise<StoreStats>;

  /**
   * Resolves when that part of the store that writes has answered: Redis with a small write of its own, SQLite with its
   * write lock, and with a small write only where its disk is nearly full. One try, never repeated. Throws `storage_full`
   * where there is no room for new jobs.
   */
  ping(): Promise<void>;

  /** Ends waits, then connections and threads. Calls made after it reject with `store_unavailable`. */
  close(): Promise<void>;
}
