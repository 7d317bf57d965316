import type { EgressGate } from "../egress/egress.ts";
import { messageOf } from "../errors.ts";
import type { KeptFile } from "../files/build-cache.ts";
import type { JobRecord } from "../jobs/job.ts";
import { MIB } from "../jobs/limits.ts";
import type { Artifact, Outcome } from "../jobs/outcome.ts";
import type { InstalledRuntime } from "../runtimes/runtime.ts";
import type { Guest, GuestExit, GuestRequest } from "../sandbox/sandbox.ts";
import { classify } from "./classify.ts";
import type { Executed, Execution } from "./executor.ts";
import {
  awaitEnd,
  inputOf,
  pump,
  startGuest,
  unlessAbandoned,
  usageOf,
  withinCollectDeadline,
} from "./guest-step.ts";

/** What the steps before a program have left for it, beside the job's files. */
interface BuiltFiles {
  readonly packages: readonly KeptFile[];
  readonly made: readonly KeptFile[];
}

/** Runs a job's program. Rejects only for an error of this service. */
export async function runProgram(execution: Execution, built: BuiltFiles): Promise<Executed> {
  const { netPolicy } = execution.job.spec;
  const gate = netPolicy === "none" ? null : await execution.egress.open(netPolicy);
  try {
    const { outcome, takeDown } = await runWith(execution, built, gate);
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

async function runWith(
  execution: Execution,
  built: BuiltFiles,
  gate: EgressGate | null,
): Promise<Executed> {
  let startedAtMs = performance.now();
  const untilClaimed = async () => {
    await execution.claimed;
    startedAtMs = performance.now();
  };
  const mayStart = untilClaimed();
  // Awaited by the sandbox, which may have much to do before.
  mayStart.catch(() => undefined);
  const request = { ...guestRequest(execution, built, gate), mayStart };
  const started = await startGuest(execution.sandbox, request);
  if (started.guest === null) return { outcome: started.outcome, takeDown: async () => undefined };
  const { guest } = started;
  execution.onStarted();
  const outcome = await unlessAbandoned(guest, execution, () =>
    attend(execution, guest, { made: built.made, startedAtMs }),
  );
  const isAbandoned = execution.abandoned.aborted;
  return { outcome: isAbandoned ? null : outcome, takeDown: () => guest.destroy() };
}

function guestRequest(
  { job, runtime, files, slot }: Execution,
  { packages, made }: BuiltFiles,
  gate: EgressGate | null,
): GuestRequest {
  const { spec, traceparent } = job;
  // The name by which tracing libraries find it: opentelemetry.io/docs/specs/otel/context/env-carriers
  const trace = traceparent === undefined ? {} : { TRACEPARENT: traceparent };
  const identity = { JOB_ID: job.id, JOB_ATTEMPT: String(job.epochs.length) };
  const install = spec.install ? runtime.install : undefined;
  const jobEnv = install?.programEnv(spec.env) ?? spec.env;
  const isExecutable = runtime.compile?.makesProgram === true;
  return {
    argv: runtime.argv({
      entry: spec.entry,
      args: spec.args,
      made: made.map(({ path }) => path),
      memoryBytes: spec.limits.memoryBytes,
    }),
    env: runtime.env({ ...trace, ...jobEnv, ...identity }),
    stdin: new TextEncoder().encode(spec.stdin),
    inputs: [
      ...job.files.map((file) => inputOf({ job, files }, file)),
      ...made.map((file) => ({ ...file, isExecutable })),
      // Some bring programs along, and nothing tells which files those are.
      ...packages.map((file) => ({ ...file, isExecutable: true })),
    ],
    ...(install === undefined ? {} : { noOutputsBelow: install.folder }),
    mounts: runtime.mounts,
    limits: spec.limits,
    memoryLimit: runtime.memoryLimit,
    memoryReserveBytes: runtime.memoryReserveBytes ?? 0,
    ...interpreterOf(job, runtime, jobEnv),
    ...(gate === null ? {} : { proxySocket: gate.socketPath }),
    slot,
  };
}

/** With less memory than this a job is better off without what an interpreter has loaded ahead. */
const MIN_AHEAD_BYTES = 128 * MIB;

function interpreterOf(
  { spec, files }: JobRecord,
  runtime: InstalledRuntime,
  env: Readonly<Record<string, string>>,
): Pick<GuestRequest, "interpreter"> {
  if (spec.limits.memoryBytes < MIN_AHEAD_BYTES) return {};
  if (spec.limits.processes < (runtime.waitingThreads ?? 1)) return {};
  const paths = files.map(({ path }) => path);
  const interpreter = runtime.interpreterFor?.({ entry: spec.entry, env, files: paths }) ?? null;
  return interpreter === null ? {} : { interpreter };
}

async function attend(
  execution: Execution,
  guest: Guest,
  { made, startedAtMs }: { readonly made: readonly KeptFile[]; readonly startedAtMs: number },
): Promise<Outcome> {
  const { job, log, cancelled } = execution;
  const output = Promise.all([
    pump(guest.stdout, "stdout", log),
    pump(guest.stderr, "stderr", log),
  ]);
  // Awaited below; a pipe that fails before that is no unhandled error.
  output.catch(() => undefined);
  const { timeoutMs, limits } = job.spec;
  const { exit, stopped } = await awaitEnd(guest, { timeoutMs, cancelled });
  const usage = usageOf(exit, startedAtMs);
  const inputs = new Map([...job.files, ...made].map(({ path, sha256 }) => [path, sha256]));
  // Together: nothing that could write to the pipes is left by the time that the files come out.
  const [collected] = await Promise.all([
    collectArtifacts(execution, { guest, exit, inputs }),
    output,
  ]);
  const verdict = classify({ exit, stopped, failure: guest.failure(), limits });
  const broken = collected.error !== null && verdict.status === "succeeded";
  return {
    ...verdict,
    ...(broken ? ({ status: "failed", reason: "sandbox_error" } as const) : {}),
    error: verdict.error ?? collected.error,
    oom: exit?.oom ?? null,
    usage,
    artifacts: collected.artifacts,
    warnings: guest.warnings(),
  };
}

interface Collected {
  readonly artifacts: readonly Artifact[];
  readonly error: string | null;
}

interface Collection {
  readonly guest: Guest;
  readonly exit: GuestExit | null;
  /** The hash of each file that the run was given, by path. */
  readonly inputs: ReadonlyMap<string, string>;
}

/** Keeps the files that the run created or changed. A file with an input's path and content is neither. */
async function collectArtifacts(
  { job, files }: Execution,
  { guest, exit, inputs }: Collection,
): Promise<Collected> {
  const artifacts: Artifact[] = [];
  if (exit === null) return { artifacts, error: null };
  const writer = files.artifactWriter(job.id, job.epoch);
  try {
    await withinCollectDeadline(guest, async () => {
      for await (const { path, bytes } of guest.outputs()) {
        const unlessHash = inputs.get(path);
        const artifact = await writer.add({
          path,
          bytes,
          ...(unlessHash === undefined ? {} : { unlessHash }),
        });
        if (artifact !== null) artifacts.push(artifact);
      }
    });
    return { artifacts, error: null };
  } catch (error) {
    return { artifacts, error: `Not every artifact was kept: ${messageOf(error)}` };
  }
}
