import { AppError, type ErrorCode } from "../errors.ts";
import type { JobRecord, LogSize } from "../jobs/job.ts";
import { cancelledWithoutWorker, lostAfterCrashes, type Outcome } from "../jobs/outcome.ts";
import type {
  AppendAnswer,
  AppendRequest,
  BeatAnswer,
  CancelAnswer,
  ClaimRequest,
  FinishAnswer,
  FinishRequest,
  HeldClaim,
  Store,
  SweepAnswer,
} from "../store/store.ts";
import type { Metrics } from "./metrics.ts";

/** A store that refuses a submit for these has not failed. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(["quota_exceeded", "queue_full"]);

/** The store with every call's failure counted, and what its answers tell of jobs. It does and answers the same. */
export function withStoreMetrics(store: Store, metrics: Metrics): Store {
  const observer = new StoreObserver(metrics);
  const call = async <T>(operation: keyof Store, answer: Promise<T>): Promise<T> => {
    try {
      return await answer;
    } catch (error) {
      const code = error instanceof AppError ? error.code : "internal";
      if (!REFUSALS.has(code)) metrics.storeErrors.inc({ operation, code });
      throw error;
    }
  };
  return {
    kind: store.kind,
    unsafeMs: store.unsafeMs,
    submit: (job, limits) => call("submit", store.submit(job, limits)),
    submitOnce: (request) => call("submitOnce", store.submitOnce(request)),
    findSubmitted: (key) => call("findSubmitted", store.findSubmitted(key)),
    keyUse: (keyId) => call("keyUse", store.keyUse(keyId)),
    get: (id, onlyOf) => call("get", store.get(id, onlyOf)),
    list: (request) => call("list", store.list(request)),
    queuePosition: (id) => call("queuePosition", store.queuePosition(id)),
    requestCancel: async (id) =>
      observer.cancelled(await call("requestCancel", store.requestCancel(id))),
    claim: async (request, onTaken) =>
      observer.claimed(await call("claim", store.claim(request, onTaken)), request),
    waitForWork: (timeoutMs, signal) => store.waitForWork(timeoutMs, signal),
    append: async (request) =>
      observer.appended(await call("append", store.append(request)), request),
    beat: async (request) => observer.beaten(await call("beat", store.beat(request))),
    finish: async (request) =>
      observer.finished(await call("finish", store.finish(request)), request),
    release: (lease) => {
      observer.released(lease);
      return call("release", store.release(lease));
    },
    sweep: async () => observer.recovered(await call("sweep", store.sweep())),
    releaseOwner: async (owner) =>
      observer.recovered(await call("releaseOwner", store.releaseOwner(owner))),
    leaseOwners: () => call("leaseOwners", store.leaseOwners()),
    readLog: (request) => call("readLog", store.readLog(request)),
    lastEntryId: (id) => call("lastEntryId", store.lastEntryId(id)),
    waitForEntries: (request, signal) => store.waitForEntries(request, signal),
    expired: (request) => call("expired", store.expired(request)),
    remove: (id) => call("remove", store.remove(id)),
    takeCallbacks: (request) => call("takeCallbacks", store.takeCallbacks(request)),
    settleCallback: (request) => call("settleCallback", store.settleCallback(request)),
    announceWorker: (info) => call("announceWorker", store.announceWorker(info)),
    workers: () => call("workers", store.workers()),
    stats: () => call("stats", store.stats()),
    ping: () => call("ping", store.ping()),
    close: () => store.close(),
  };
}

/** Counts a run that is given up for its lease, once whoever says so and however often. */
export function countFence(
  { runs, runsFenced }: Pick<Metrics, "runs" | "runsFenced">,
  claim: HeldClaim,
): void {
  if (runs.fence(claim)) runsFenced.inc();
}

/** Counts what an answer tells, once however often it is given, and hands it on. */
class StoreObserver {
  readonly #metrics: Metrics;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  claimed(job: JobRecord | null, request: ClaimRequest): JobRecord | null {
    if (job === null) return job;
    const isNew = this.#metrics.runs.begin(job, request);
    // Not below 0 although the store's clock went back.
    const waitedMs = Math.max(0, (job.startedAtMs ?? 0) - job.createdAtMs);
    if (isNew && job.epochs.length === 1) this.#metrics.waitSec.observe(waitedMs / 1000);
    return job;
  }

  appended(answer: AppendAnswer, request: AppendRequest): AppendAnswer {
    if (answer.kind === "stored") this.#countLog(request, request.log);
    if (answer.kind === "fenced") this.#fence(request);
    return answer;
  }

  beaten(answer: BeatAnswer): BeatAnswer {
    for (const claim of answer.fenced) this.#fence(claim);
    return answer;
  }

  finished(answer: FinishAnswer, request: FinishRequest): FinishAnswer {
    if (answer.kind === "finished") {
      this.#countLog(request, request.log);
      if (this.#metrics.runs.end(request)) this.#countEnd(request.outcome);
    }
    if (answer.kind === "fenced") this.#fence(request);
    return answer;
  }

  /** A drained job whose cancellation was asked for ends with its release; the store does not tell, so it is not counted. */
  released(claim: HeldClaim): void {
    this.#metrics.runs.end(claim);
  }

  cancelled(answer: CancelAnswer): CancelAnswer {
    if (answer === "cancelled") this.#countEnd(cancelledWithoutWorker());
    return answer;
  }

  recovered(answer: SweepAnswer): SweepAnswer {
    for (const became of ["requeued", "lost", "cancelled"] as const)
      this.#metrics.jobsRecovered.inc({ became }, answer[became].length);
    for (const _ of answer.lost) this.#countEnd(lostAfterCrashes());
    for (const _ of answer.cancelled) this.#countEnd(cancelledWithoutWorker());
    return answer;
  }

  #countEnd({ status, reason }: Outcome): void {
    this.#metrics.jobsEnded.inc({ status, reason: reason ?? "none" });
  }

  #countLog(claim: HeldClaim, log: LogSize): void {
    const { bytes, droppedBytes } = this.#metrics.runs.growth(claim, log);
    this.#metrics.logBytes.inc(bytes);
    this.#metrics.logDroppedBytes.inc(droppedBytes);
  }

  #fence(claim: HeldClaim): void {
    countFence(this.#metrics, claim);
  }
}
