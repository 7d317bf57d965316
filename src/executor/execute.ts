import type { Egress, EgressGate } from "../egress/egress.ts";
import { AppError, messageOf } from "../errors.ts";
import type { FileStore } from "../files/file-store.ts";
import type { JobRecord } from "../jobs/job.ts";
import { MIB } from "../jobs/limits.ts";
import type { StreamName } from "../jobs/log-entry.ts";
import { type Artifact, type Outcome, outcomeWithoutRun } from "../jobs/outcome.ts";
import type { InstalledRuntime } from "../runtimes/runtime.ts";
import type { Guest, GuestExit, GuestRequest, Sandbox } from "../sandbox/sandbox.ts";
import { classify, type StopCause } from "./classify.ts";

/** How long the files of an ended program may take to come out. */
const COLLECT_DEADLINE_MS = 60_000;

/** Where a program's output goes. */
export interface LogSink {
  /** Resolves when there is room for more: a program that prints faster than that blocks in its pipe. */
  write(stream: StreamName, bytes: Uint8Array): Promise<void>;
  endStream(stream: StreamName): void;
}

export interface Execution {
  readonly job: JobRecord;
  readonly slot: number;
  readonly runtime: InstalledRuntime;
  readonly sandbox: Sandbox;
  readonly egress: Egress;
  readonly files: FileStore;
  readonly log: LogSink;
  /** The job is to be cancelled: its program is killed, its files are kept. */
  readonly cancelled: AbortSignal;
  /** The run is to be given up without a result: everything is taken down at once. */
  readonly abandoned: AbortSignal;
  /** The program runs. */
  readonly onStarted: () => void;
}

/** What came of a job on this machine. */
export interface Executed {
  /**
   * How it ended, which includes that the sandbox failed; null when it was abandoned before its result was whole, or when
   * there is no sandbox that works, so that another worker or a later hour may run it.
   */
  readonly outcome: Outcome | null;
  /**
   * Takes down what is left of the run: to be called once, by whoever got this. Its program and all that it started are
   * dead by now unless it was abandoned, so that nobody who waits for the outcome has to wait for this. Resolves when
   * nothing is left on this machine.
   */
  readonly takeDown: () => Promise<void>;
}

/** Runs one job on this machine, from its files to its artifacts. Rejects only for an error of this service. */
export async function execute(execution: Execution): Promise<Executed> {
  const { netPolicy } = execution.job.spec;
  const gate = netPolicy === "none" ? null : await execution.egress.open(netPolicy);
  try {
    const { outcome, takeDown } = await executeWith(execution, gate);
    const takeAllDown = async () => {
      try {
        await takeDown();
      } finally {
        await gate?.close();
      }
    };
    return { outcome, takeDown: takeAllDown };
  } catch (error) {
    await gate?.close();
    throw error;
  }
}

async function executeWith(execution: Execution, gate: EgressGate | null): Promise<Executed> {
  const startedAtMs = performance.now();
  let guest: Guest;
  try {
    guest = await execution.sandbox.start(guestRequest(execution, gate));
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const isUnavailable = error.code === "sandbox_unavailable";
    const failed = outcomeWithoutRun("failed", "sandbox_error", messageOf(error));
    return { outcome: isUnavailable ? null : failed, takeDown: async () => undefined };
  }
  execution.onStarted();
  const abandon = () => beginDestroy(guest);
  execution.abandoned.addEventListener("abort", abandon, { once: true });
  if (execution.abandoned.aborted) abandon();
  try {
    const outcome = await attend(execution, guest, startedAtMs);
    const isAbandoned = execution.abandoned.aborted;
    return { outcome: isAbandoned ? null : outcome, takeDown: () => guest.destroy() };
  } catch (error) {
    await guest.destroy();
    throw error;
  } finally {
    execution.abandoned.removeEventListener("abort", abandon);
  }
}

function guestRequest(
  { job, runtime, files, slot }: Execution,
  gate: EgressGate | null,
): GuestRequest {
  const { spec, traceparent } = job;
  // The name by which tracing libraries find it: opentelemetry.io/docs/specs/otel/context/env-carriers
  const trace = traceparent === undefined ? {} : { TRACEPARENT: traceparent };
  const identity = { JOB_ID: job.id, JOB_ATTEMPT: String(job.epochs.length) };
  return {
    argv: runtime.argv(spec.entry, spec.args),
    env: runtime.env({ ...trace, ...spec.env, ...identity }),
    stdin: new TextEncoder().encode(spec.stdin),
    inputs: job.files.map((file) => ({
      path: file.path,
      sizeBytes: file.sizeBytes,
      bytes: () => files.readInput(job.id, file),
    })),
    mounts: runtime.mounts,
    limits: spec.limits,
    memoryLimit: runtime.memoryLimit,
    memoryReserveBytes: runtime.memoryReserveBytes ?? 0,
    ...interpreterOf(job, runtime),
    ...(gate === null ? {} : { proxySocket: gate.socketPath }),
    slot,
  };
}

/** With less memory than this a job is better off without what an interpreter has loaded ahead. */
const MIN_AHEAD_BYTES = 128 * MIB;

function interpreterOf(
  { spec, files }: JobRecord,
  runtime: InstalledRuntime,
): Pick<GuestRequest, "interpreter"> {
  if (spec.limits.memoryBytes < MIN_AHEAD_BYTES) return {};
  if (spec.limits.processes < (runtime.waitingThreads ?? 1)) return {};
  const { entry, env } = spec;
  const paths = files.map(({ path }) => path);
  const interpreter = runtime.interpreterFor?.({ entry, env, files: paths }) ?? null;
  return interpreter === null ? {} : { interpreter };
}

async function attend(execution: Execution, guest: Guest, startedAtMs: number): Promise<Outcome> {
  const { job, log } = execution;
  const output = Promise.all([
    pump(guest.stdout, "stdout", log),
    pump(guest.stderr, "stderr", log),
  ]);
  // Awaited below; a pipe that fails before that is no unhandled error.
  output.catch(() => undefined);
  const { exit, stopped } = await awaitEnd(execution, guest);
  const wallMs = Math.round(performance.now() - startedAtMs);
  // Together: the pipes end no later than the sandbox does, and the sandbox ends once its files are out.
  const [collected] = await Promise.all([collectArtifacts(execution, guest, exit), output]);
  const verdict = classify({ exit, stopped, failure: guest.failure(), limits: job.spec.limits });
  const broken = collected.error !== null && verdict.status === "succeeded";
  return {
    ...verdict,
    ...(broken ? ({ status: "failed", reason: "sandbox_error" } as const) : {}),
    error: verdict.error ?? collected.error,
    oom: exit?.oom ?? null,
    usage:
      exit === null ? null : { wallMs, cpuMs: exit.cpuMs, peakMemoryBytes: exit.peakMemoryBytes },
    artifacts: collected.artifacts,
    warnings: [...guest.warnings(), ...collected.warnings],
  };
}

async function pump(
  source: ReadableStream<Uint8Array>,
  stream: StreamName,
  log: LogSink,
): Promise<void> {
  for await (const chunk of source) await log.write(stream, chunk);
  log.endStream(stream);
}

/** Waits for the program's own end, or ends it at its time limit or on request. */
async function awaitEnd(
  { job, cancelled }: Execution,
  guest: Guest,
): Promise<{ exit: GuestExit | null; stopped: StopCause | null }> {
  let stopped: StopCause | null = null;
  const stop = (cause: StopCause) => {
    stopped ??= cause;
    guest.stop();
  };
  const timer = setTimeout(() => stop("timeout"), job.spec.timeoutMs);
  const cancel = () => stop("cancelled");
  cancelled.addEventListener("abort", cancel, { once: true });
  if (cancelled.aborted) cancel();
  const exit = await guest.exited;
  clearTimeout(timer);
  cancelled.removeEventListener("abort", cancel);
  return { exit, stopped };
}

/** A guest is always taken down once more at the end, where a failure is heard; here it is only begun. */
function beginDestroy(guest: Guest): void {
  guest.destroy().catch(() => undefined);
}

interface Collected {
  readonly artifacts: readonly Artifact[];
  readonly warnings: readonly string[];
  readonly error: string | null;
}

/** Keeps the files that the run created or changed. A file with an input's path and content is neither. */
async function collectArtifacts(
  { job, files }: Execution,
  guest: Guest,
  exit: GuestExit | null,
): Promise<Collected> {
  if (exit === null) return { artifacts: [], warnings: [], error: null };
  const artifacts: Artifact[] = [];
  const inputs = new Map(job.files.map((file) => [file.path, file.sha256]));
  const writer = files.artifactWriter(job.id, job.epoch);
  const deadline = setTimeout(() => beginDestroy(guest), COLLECT_DEADLINE_MS);
  try {
    for await (const { path, bytes } of guest.outputs()) {
      const unlessHash = inputs.get(path);
      const artifact = await writer.add({
        path,
        bytes,
        ...(unlessHash === undefined ? {} : { unlessHash }),
      });
      if (artifact !== null) artifacts.push(artifact);
    }
    return { artifacts, warnings: [], error: null };
  } catch (error) {
    return { artifacts, warnings: [], error: `Not every artifact was kept: ${messageOf(error)}` };
  } finally {
    clearTimeout(deadline);
  }
}
