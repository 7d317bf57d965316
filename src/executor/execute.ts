import type { KeptFile } from "../files/build-cache.ts";
import { type Outcome, outcomeWithoutRun, type Reason } from "../jobs/outcome.ts";
import { type BuildTool, withToolUsage } from "./build-verdict.ts";
import type { Built, Executed, Execution } from "./executor.ts";
import { roomProblem } from "./room.ts";
import { runProgram } from "./run.ts";

/** Runs one job on this machine, from its files to its artifacts. Rejects only for an error of this service. */
export async function execute(execution: Execution): Promise<Executed> {
  return await afterStep(execution, installStep(execution), (packages) =>
    afterStep(execution, compileStep(execution), (made) =>
      runProgram(execution, { packages, made }),
    ),
  );
}

interface Step {
  readonly usage: BuildTool["usage"];
  /** How a job ends for which it made too much, and what that is called. */
  readonly tooMuch: { readonly reason: Reason; readonly what: string };
  readonly take: () => Promise<Built>;
}

function installStep(execution: Execution): Step | null {
  const { job, runtime, installer } = execution;
  const { install } = runtime;
  if (!job.spec.install) return null;
  const step = {
    usage: "installUsage",
    tooMuch: { reason: "install_error", what: "What was installed" },
  } as const;
  if (install !== undefined) return { ...step, take: () => installer.install(execution, install) };
  const problem = `This worker has nothing to install dependencies of ${runtime.name} with.`;
  const outcome = outcomeWithoutRun("failed", "install_error", problem);
  return { ...step, take: async () => ({ kind: "ended", outcome }) };
}

function compileStep(execution: Execution): Step | null {
  const { runtime, compiler } = execution;
  const { compile } = runtime;
  if (compile === undefined) return null;
  return {
    usage: "compileUsage",
    tooMuch: { reason: "compile_error", what: "What was compiled" },
    take: () => compiler.compile(execution, compile),
  };
}

/** Goes on with the files that a step gives, none where there is no step, unless the job ends with it. */
async function afterStep(
  execution: Execution,
  step: Step | null,
  next: (files: readonly KeptFile[]) => Promise<Executed>,
): Promise<Executed> {
  const { cancelled, abandoned } = execution;
  if (step === null) return await next([]);
  await execution.claimed;
  const built = await step.take();
  if (built.kind === "given_up") return withoutRun(null);
  if (built.kind === "ended") return withoutRun(built.outcome);
  try {
    if (abandoned.aborted) return withoutRun(null);
    const { outcome, takeDown } = cancelled.aborted
      ? withoutRun(outcomeWithoutRun("cancelled", "cancelled", null))
      : await unlessTooMuch(execution, step, built.files.files, next);
    if (outcome === null || built.kind === "cached") return { outcome, takeDown };
    return { outcome: withToolUsage(outcome, step.usage, built.usage), takeDown };
  } finally {
    await built.files.close();
  }
}

async function unlessTooMuch(
  { job }: Execution,
  { tooMuch: { reason, what } }: Step,
  files: readonly KeptFile[],
  next: (files: readonly KeptFile[]) => Promise<Executed>,
): Promise<Executed> {
  const problem = roomProblem(job, files, what);
  if (problem === null) return await next(files);
  return withoutRun(outcomeWithoutRun("failed", reason, problem));
}

function withoutRun(outcome: Outcome | null): Executed {
  return { outcome, takeDown: async () => undefined };
}
