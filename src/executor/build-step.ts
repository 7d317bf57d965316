import { messageOf } from "../errors.ts";
import type { BuildCache, KeptFiles } from "../files/build-cache.ts";
import { type Outcome, outcomeWithoutRun, type Usage } from "../jobs/outcome.ts";
import type { Guest, GuestOutput, GuestRequest, Sandbox } from "../sandbox/sandbox.ts";
import { type BuildTool, buildVerdict, withToolUsage } from "./build-verdict.ts";
import type { Built, JobStep, LogSink } from "./executor.ts";
import {
  awaitEnd,
  pump,
  startGuest,
  unlessAbandoned,
  usageOf,
  withinCollectDeadline,
} from "./guest-step.ts";

/*
 * A step of a job before its program: a guest of its own, whose files are kept for the program, and under a name for all that
 * decides what they are (build-key.ts) for the jobs after it.
 */

export interface BuildStepOptions {
  readonly sandbox: Sandbox;
  readonly cache: BuildCache;
  /** Of wall time, and of CPU time. */
  readonly timeoutSec: number;
}

/** One run of a step's tool. */
interface Build {
  readonly tool: BuildTool;
  readonly key: string;
  readonly request: GuestRequest;
  readonly log: LogSink;
}

interface RunningBuild extends Build {
  readonly guest: Guest;
  /** Of performance.now(). */
  readonly startedAtMs: number;
}

const GIVEN_UP: Built = { kind: "given_up" };

/** Runs a tool to its end and keeps what it has made. Nothing of the guest is left afterwards. */
export async function runBuild(
  options: BuildStepOptions,
  job: Pick<JobStep, "cancelled" | "abandoned">,
  build: Build,
): Promise<Built> {
  const startedAtMs = performance.now();
  const started = await startGuest(options.sandbox, build.request);
  if (started.guest === null) return started.outcome === null ? GIVEN_UP : ended(started.outcome);
  const { guest } = started;
  try {
    const built = await unlessAbandoned(guest, job, () =>
      attend(options, job, { ...build, guest, startedAtMs }),
    );
    if (!job.abandoned.aborted) return built;
    if (built.kind === "made") await built.files.close();
    return GIVEN_UP;
  } finally {
    await guest.destroy();
  }
}

/** A step that the job ends with. */
export function ended(outcome: Outcome): Built {
  return { kind: "ended", outcome };
}

async function attend(
  { cache, timeoutSec }: BuildStepOptions,
  { cancelled }: Pick<JobStep, "cancelled">,
  { tool, key, request, log, guest, startedAtMs }: RunningBuild,
): Promise<Built> {
  const output = Promise.all([
    pump(guest.stdout, tool.stream, log),
    pump(guest.stderr, tool.stream, log),
  ]);
  // Awaited below; a pipe that fails before that is no unhandled error.
  output.catch(() => undefined);
  const end = await awaitEnd(guest, { timeoutMs: timeoutSec * 1000, cancelled });
  const usage = usageOf(end.exit, startedAtMs);
  const { limits } = request;
  const outcome = buildVerdict(tool, { ...end, failure: guest.failure(), limits, timeoutSec });
  if (outcome !== null) {
    await output;
    return ended(withToolUsage(outcome, tool.usage, usage));
  }
  // Together: nothing that could write to the pipes is left by the time that the files come out.
  const keeping = withinCollectDeadline(guest, () => cache.keep(key, wholeOutputs(guest, tool)));
  const [kept] = await Promise.all([unlessUnusable(keeping, tool, usage), output]);
  return kept;
}

async function unlessUnusable(
  keeping: Promise<KeptFiles>,
  tool: BuildTool,
  usage: Usage | null,
): Promise<Built> {
  try {
    return { kind: "made", files: await keeping, usage };
  } catch (error) {
    const outcome =
      error instanceof Unusable
        ? { ...outcomeWithoutRun("failed", tool.reason, error.message), exitCode: 0 }
        : outcomeWithoutRun(
            "failed",
            "sandbox_error",
            `What the ${tool.stream} made could not be kept: ${messageOf(error)}`,
          );
    return ended(withToolUsage(outcome, tool.usage, usage));
  }
}

/** A tool did well, as it says, and what it has left is of no use. */
class Unusable extends Error {
  override readonly name = "Unusable";
}

/** All that a tool has made. Throws Unusable where that is too little, or where the guest had to leave some of it out. */
async function* wholeOutputs(guest: Guest, tool: BuildTool): AsyncGenerator<GuestOutput> {
  let count = 0;
  for await (const output of guest.outputs()) {
    count += 1;
    yield output;
  }
  const [warning] = guest.warnings();
  if (warning !== undefined)
    throw new Unusable(`The ${tool.stream} made more than can be kept: ${warning}`);
  if (count === 0 && tool.nothing !== null) throw new Unusable(tool.nothing);
}
