import { type Limits, MIB } from "../jobs/limits.ts";
import type { StreamName } from "../jobs/log-entry.ts";
import { type Outcome, outcomeWithoutRun, type Reason, type Usage } from "../jobs/outcome.ts";
import { classify } from "./classify.ts";
import type { GuestEnd } from "./guest-step.ts";

/** What a step before the program runs, and the words in which a job is told of it. */
export interface BuildTool {
  /** Where its output goes in the job's log; also what it is called. */
  readonly stream: Exclude<StreamName, "stdout" | "stderr">;
  /** Of a job that ends with it. */
  readonly reason: Reason;
  /** The variable that sets its time. */
  readonly timeoutVariable: string;
  /** What it did where it failed for no limit. */
  readonly refusal: string;
  /** What a job is told whose tool did well and made nothing; null where that is no failure. */
  readonly nothing: string | null;
  /** What of an outcome says what it used. */
  readonly usage: "compileUsage" | "installUsage";
}

interface BuildEnd extends GuestEnd {
  readonly failure: string;
  /** What the tool was held to. */
  readonly limits: Limits;
  readonly timeoutSec: number;
}

/** The job's end where the tool did not do its work; null where it did. */
export function buildVerdict(tool: BuildTool, end: BuildEnd): Outcome | null {
  const { exit, stopped, failure, limits } = end;
  const { status, reason, exitCode, signal, error } = classify({ exit, stopped, failure, limits });
  if (reason === null) return null;
  const isTools = reason !== "cancelled" && reason !== "sandbox_error";
  const outcome = isTools
    ? outcomeWithoutRun("failed", tool.reason, sentenceFor(tool, { reason, signal, end }))
    : outcomeWithoutRun(status === "cancelled" ? "cancelled" : "failed", reason, error);
  return { ...outcome, exitCode, signal, oom: exit?.oom ?? null };
}

/** The outcome with what one of the job's tools used; null: nobody can tell. */
export function withToolUsage(
  outcome: Outcome,
  member: BuildTool["usage"],
  usage: Usage | null,
): Outcome {
  return usage === null ? outcome : { ...outcome, [member]: usage };
}

function sentenceFor(
  { stream, timeoutVariable, refusal }: BuildTool,
  {
    reason,
    signal,
    end: { limits, timeoutSec },
  }: { readonly reason: Reason; readonly signal: string | null; readonly end: BuildEnd },
): string {
  const causes: Partial<Record<Reason, string>> = {
    wall_limit: `did not come to its end within ${timeoutSec} seconds (this server's ${timeoutVariable})`,
    cpu_limit: `used up ${timeoutSec} seconds of CPU time (this server's ${timeoutVariable})`,
    memory_limit: `ran out of memory, of which it had ${limits.memoryBytes / MIB} MiB (limits.memory_mb)`,
    disk_limit: `ran out of disk, of which it had ${limits.diskBytes / MIB} MiB (limits.disk_mb)`,
    process_limit: `ran out of processes, of which it had ${limits.processes} (limits.processes)`,
    signal: `was ended by ${signal}`,
  };
  return `The ${stream} ${causes[reason] ?? refusal}.`;
}
