import { type Outcome, outcomeWithoutRun } from "../jobs/outcome.ts";
import { withToolUsage } from "./build-verdict.ts";
import type { Executed, Execution } from "./executor.ts";
import { runProgram } from "./run.ts";

/** Runs one job on this machine, from its files to its artifacts. Rejects only for an error of this service. */
export async function execute(execution: Execution): Promise<Executed> {
  const { runtime, compiler, cancelled, abandoned } = execution;
  if (runtime.compile === undefined) return await runProgram(execution, []);
  const compiled = await compiler.compile(execution, runtime.compile);
  if (compiled.kind === "given_up") return withoutRun(null);
  if (compiled.kind === "ended") return withoutRun(compiled.outcome);
  try {
    if (abandoned.aborted) return withoutRun(null);
    const { outcome, takeDown } = cancelled.aborted
      ? withoutRun(outcomeWithoutRun("cancelled", "cancelled", null))
      : await runProgram(execution, compiled.files.files);
    if (outcome === null || compiled.kind === "cached") return { outcome, takeDown };
    return { outcome: withToolUsage(outcome, "compileUsage", compiled.usage), takeDown };
  } finally {
    await compiled.files.close();
  }
}

function withoutRun(outcome: Outcome | null): Executed {
  return { outcome, takeDown: async () => undefined };
}
