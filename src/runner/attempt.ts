import { AppError, messageOf } from "../errors.ts";
import { execute } from "../executor/execute.ts";
import type { FileStore } from "../files/file-store.ts";
import type { JobRecord } from "../jobs/job.ts";
import { type Outcome, outcomeWithoutRun } from "../jobs/outcome.ts";
import { pause } from "../lifecycle.ts";
import { LogCollector } from "../logs/collect.ts";
import type { RuntimeRegistry } from "../runtimes/registry.ts";
import type { InstalledRuntime } from "../runtimes/runtime.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import type { Store } from "../store/store.ts";
import type { LeaseKeeper } from "./lease.ts";

/** A store that does not answer is asked again this often. Every step is idempotent, so asking again is safe. */
const RETRY_INTERVAL_MS = 250;

export interface AttemptPorts {
  readonly store: Store;
  readonly files: FileStore;
  readonly sandbox: Sandbox;
  readonly runtimes: RuntimeRegistry<InstalledRuntime>;
  readonly leases: LeaseKeeper;
  readonly owner: string;
  readonly onError: (error: unknown) => void;
}

/**
 * One claimed job, from its claim to its end: runs it, stores its log, and either finishes it, hands it back when
 * `drained` fires first, or leaves it alone when the lease has been lost. Never rejects.
 */
export async function runAttempt(
  ports: AttemptPorts,
  job: JobRecord,
  options: { readonly slot: number; readonly drained: AbortSignal },
): Promise<void> {
  const fenced = new AbortController();
  const cancelled = new AbortController();
  const run = {
    id: job.id,
    epoch: job.epoch,
    cancel: () => cancelled.abort(),
    fence: () => fenced.abort(),
  };
  ports.leases.hold(run);
  if (job.cancelRequested) cancelled.abort();
  try {
    await runHeld(ports, job, {
      slot: options.slot,
      cancelled: cancelled.signal,
      fenced,
      drained: options.drained,
    });
  } catch (error) {
    ports.onError(error);
  } finally {
    ports.leases.drop(run);
  }
}

interface HeldOptions {
  readonly slot: number;
  readonly cancelled: AbortSignal;
  readonly fenced: AbortController;
  readonly drained: AbortSignal;
}

async function runHeld(ports: AttemptPorts, job: JobRecord, options: HeldOptions): Promise<void> {
  const { store, owner } = ports;
  const { fenced, drained } = options;
  const lease = { id: job.id, epoch: job.epoch, owner };
  const abandoned = AbortSignal.any([fenced.signal, drained]);
  const log = new LogCollector({
    outputBytes: job.spec.limits.outputBytes,
    onFenced: () => fenced.abort(),
    append: (seq, body, size) =>
      untilAnswered(() => store.append({ ...lease, seq, body, log: size }), fenced.signal),
  });
  const outcome = await outcomeOf(ports, job, { ...options, log, abandoned });
  if (fenced.signal.aborted) return;
  if (outcome === null) {
    await untilAnswered(() => store.release(lease), fenced.signal);
    return;
  }
  await log.close();
  if (fenced.signal.aborted) return;
  await untilAnswered(() => store.finish({ ...lease, outcome, log: log.size }), fenced.signal);
}

/** null when the run was given up before it had a result. */
async function outcomeOf(
  ports: AttemptPorts,
  job: JobRecord,
  options: HeldOptions & { readonly log: LogCollector; readonly abandoned: AbortSignal },
): Promise<Outcome | null> {
  if (job.cancelRequested) return outcomeWithoutRun("cancelled", "cancelled", null);
  try {
    return await execute({
      job,
      slot: options.slot,
      runtime: findRuntime(ports.runtimes, job),
      sandbox: ports.sandbox,
      files: ports.files,
      log: options.log,
      cancelled: options.cancelled,
      abandoned: options.abandoned,
    });
  } catch (error) {
    if (!(error instanceof AppError)) ports.onError(error);
    return outcomeWithoutRun("failed", "sandbox_error", messageOf(error));
  }
}

/** The runtime that the job was promised; on a worker without it, what its spec asks for. */
function findRuntime(
  runtimes: RuntimeRegistry<InstalledRuntime>,
  job: JobRecord,
): InstalledRuntime {
  const promised = runtimes.list().find(({ name }) => name === job.runtime.name);
  return promised ?? runtimes.resolve(job.spec.runtime, job.spec.entry).runtime;
}

/** Repeats a step while the store does not answer or has no room, until it does or `signal` fires. */
async function untilAnswered<T>(step: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await step();
    } catch (error) {
      const isPassing =
        error instanceof AppError && ["store_unavailable", "storage_full"].includes(error.code);
      if (!isPassing || signal.aborted) throw error;
      await pause(RETRY_INTERVAL_MS, signal);
    }
  }
}
