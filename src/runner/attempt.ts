import type { Egress } from "../egress/egress.ts";
import { AppError, messageOf } from "../errors.ts";
import { execute } from "../executor/execute.ts";
import type { Compiler, Executed, Installer } from "../executor/executor.ts";
import type { FileStore } from "../files/file-store.ts";
import type { JobRecord } from "../jobs/job.ts";
import { type Outcome, outcomeWithoutRun } from "../jobs/outcome.ts";
import { traceFields } from "../jobs/trace-context.ts";
import type { Logger } from "../logger.ts";
import { LogCollector } from "../logs/collect.ts";
import type { RuntimeRegistry } from "../runtimes/registry.ts";
import type { InstalledRuntime } from "../runtimes/runtime.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import type { LeaseKey, Store } from "../store/store.ts";
import type { ReportFailure } from "./failures.ts";
import type { LeaseKeeper } from "./lease.ts";
import { appendOrRefuse, untilAnswered } from "./patience.ts";
import type { StoredEnd } from "./recent-ends.ts";

/** How long a program waits for room in a full store before its output is dropped. */
const FULL_STORE_PATIENCE_MS = 5_000;
const FENCED_MESSAGE =
  "This attempt was given up: its lease is someone else's, or may be after so long without the store.";
const END_FORGOTTEN_MESSAGE =
  "The store has lost the end of this job, and more of its log than is remembered: it runs again.";
export const HANDED_BACK_MESSAGE = "The job was handed back to the queue.";

export interface AttemptPorts {
  readonly store: Store;
  readonly files: FileStore;
  readonly sandbox: Sandbox;
  readonly egress: Egress;
  readonly installer: Installer;
  readonly compiler: Compiler;
  readonly runtimes: RuntimeRegistry<InstalledRuntime>;
  readonly leases: LeaseKeeper;
  readonly owner: string;
  readonly log: Logger;
  readonly onError: ReportFailure;
}

export interface AttemptOptions {
  readonly slot: number;
  /** The claim is stored; until then nothing of the job runs. Rejects where it is not: then the job is not this worker's. */
  readonly claimed: Promise<void>;
  readonly drained: AbortSignal;
}

/**
 * One claimed job, to its end: runs it, stores its log, and finishes it. It may begin before its claim is stored. Where it
 * cannot be brought to its end (the lease is lost, `drained` fires first, the worker itself fails), the job is handed back, which
 * changes nothing if it is somebody else's by then. Never rejects; resolves once the store has answered and nothing of the run is left here.
 */
export async function runAttempt(
  ports: AttemptPorts,
  job: JobRecord,
  options: AttemptOptions,
): Promise<void> {
  const fields = {
    job_id: job.id,
    epoch: job.epoch,
    attempt: job.epochs.length,
    ...traceFields(job.traceparent),
  };
  const log = ports.log.child(fields);
  const onError: ReportFailure = (step, error) => ports.onError(step, error, fields);
  await runNamedAttempt({ ...ports, log, onError }, job, options);
}

/** As runAttempt, with the attempt's name on all that is logged. */
async function runNamedAttempt(
  ports: AttemptPorts,
  job: JobRecord,
  options: AttemptOptions,
): Promise<void> {
  let claimedAtMs = performance.now();
  const sinceClaim = () => ({ duration_ms: Math.round(performance.now() - claimedAtMs) });
  const { store, owner, leases, log, onError } = ports;
  const lease = { id: job.id, epoch: job.epoch, owner };
  const fenced = new AbortController();
  const cancelled = new AbortController();
  const run = {
    id: job.id,
    epoch: job.epoch,
    cancel: () => cancelled.abort(),
    fence: () => fenced.abort(),
  };
  const isClaimed = options.claimed.then(
    () => {
      claimedAtMs = performance.now();
      log.debug("job_claimed", "A job was claimed.");
      leases.hold(run);
      return true;
    },
    () => false,
  );
  let takeDown: Executed["takeDown"] | undefined;
  try {
    const end = await runToEnd(ports, job, {
      ...options,
      lease,
      isClaimed,
      cancelled: cancelled.signal,
      fenced,
      onEnded: (what) => (takeDown = what),
      onStarted: () => log.debug("job_started", "The program was started.", sinceClaim()),
    }).catch((error: unknown) => {
      onError("attempt", error);
      return null;
    });
    if (end !== null) {
      const { status, reason } = end.outcome;
      log.debug("job_ended", "The job has ended.", { status, reason, ...sinceClaim() });
      leases.ended(run, end);
      return;
    }
    if (!(await isClaimed)) return;
    await untilAnswered(() => store.release(lease));
    if (fenced.signal.aborted) log.warn("job_fenced", FENCED_MESSAGE, sinceClaim());
    else log.debug("job_handed_back", HANDED_BACK_MESSAGE, sinceClaim());
  } catch (error) {
    onError("attempt", error);
  } finally {
    leases.drop(run);
    await takeDown?.().catch((error: unknown) => onError("attempt", error));
  }
}

interface RunOptions extends AttemptOptions {
  readonly lease: LeaseKey;
  /** What has become of `claimed`. */
  readonly isClaimed: Promise<boolean>;
  readonly cancelled: AbortSignal;
  readonly fenced: AbortController;
  readonly onStarted: () => void;
  /** The run is over, and its end about to be stored; the rest is to be taken down after that. */
  readonly onEnded: (takeDown: Executed["takeDown"]) => void;
}

/** Resolves to the end that the store has acknowledged; to null where the job has not ended there. */
async function runToEnd(
  ports: AttemptPorts,
  job: JobRecord,
  options: RunOptions,
): Promise<(StoredEnd & { readonly outcome: Outcome }) | null> {
  const { store } = ports;
  const { lease, drained } = options;
  let { fenced } = options;
  let patienceMs = FULL_STORE_PATIENCE_MS;
  const collector = new LogCollector({
    outputBytes: job.spec.limits.outputBytes,
    onFenced: () => fenced.abort(),
    keepMs: store.unsafeMs,
    append: async (seq, body, size) => {
      const step = () => store.append({ ...lease, seq, body, log: size });
      const isStored = async () => {
        const last = await store.lastEntryId(lease.id);
        return last?.epoch === lease.epoch && last.seq >= seq;
      };
      const answer = await appendOrRefuse(step, { patienceMs, signal: fenced.signal, isStored });
      // A store that has been waited for once in vain is not waited for again by this job.
      if (answer.kind === "refused") patienceMs = 0;
      return answer;
    },
  });
  const abandoned = AbortSignal.any([fenced.signal, drained]);
  const { outcome, takeDown } = await outcomeOf(ports, job, { ...options, collector, abandoned });
  if (!(await options.isClaimed) || outcome === null || fenced.signal.aborted) {
    // Whoever gets the job next must not run it beside what is left of this run.
    await takeDown();
    return null;
  }
  options.onEnded(takeDown);
  await collector.close();
  const finish = () => finishWhole(store, { lease, outcome, collector, fenced });
  if (!(await finish())) return null;
  // A beat that was under way when the end was stored finds the lease gone, and fences: too late to say anything of this end.
  fenced = new AbortController();
  const finishAgain = async () => {
    if (await finish()) return;
    // The store has lost more of the log than is remembered here: only another attempt can make it whole.
    ports.log.warn("end_forgotten", END_FORGOTTEN_MESSAGE);
    await untilAnswered(() => store.release(lease));
  };
  return { outcome, finishAgain, keptBytes: collector.spoolMemoryBytes };
}

/** Ends the job once its log is whole. Resolves to false where the claim is not this one's any more, or the log is past mending. */
async function finishWhole(
  store: Store,
  end: {
    readonly lease: LeaseKey;
    readonly outcome: Outcome;
    readonly collector: LogCollector;
    readonly fenced: AbortController;
  },
): Promise<boolean> {
  const { lease, outcome, collector, fenced } = end;
  for (;;) {
    if (fenced.signal.aborted) return false;
    const { lastSeq, size, isGapUnmarked: markGap } = collector;
    const request = { ...lease, lastSeq, outcome, log: size, markGap };
    const answer = await untilAnswered(() => store.finish(request), fenced.signal);
    if (answer.kind === "finished") return true;
    if (answer.kind === "fenced") fenced.abort();
    else if (!(await collector.resendAfter(answer.lastSeq))) return false;
  }
}

async function outcomeOf(
  ports: AttemptPorts,
  job: JobRecord,
  options: RunOptions & { readonly collector: LogCollector; readonly abandoned: AbortSignal },
): Promise<Executed> {
  if (job.cancelRequested) return withoutRun(outcomeWithoutRun("cancelled", "cancelled", null));
  try {
    return await execute({
      job,
      slot: options.slot,
      runtime: findRuntime(ports.runtimes, job),
      sandbox: ports.sandbox,
      egress: ports.egress,
      installer: ports.installer,
      compiler: ports.compiler,
      files: ports.files,
      log: options.collector,
      cancelled: options.cancelled,
      abandoned: options.abandoned,
      claimed: options.claimed,
      onStarted: options.onStarted,
    });
  } catch (error) {
    if (!(error instanceof AppError)) ports.onError("attempt", error);
    return withoutRun(outcomeWithoutRun("failed", "sandbox_error", messageOf(error)));
  }
}

function withoutRun(outcome: Outcome): Executed {
  return { outcome, takeDown: async () => undefined };
}

/** The runtime that the job was promised; on a worker without it, what its spec asks for. */
function findRuntime(
  runtimes: RuntimeRegistry<InstalledRuntime>,
  job: JobRecord,
): InstalledRuntime {
  const promised = runtimes.list().find(({ name }) => name === job.runtime.name);
  return promised ?? runtimes.resolve(job.spec.runtime, job.spec.entry).runtime;
}
