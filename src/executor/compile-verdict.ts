import { type Limits, MIB } from "../jobs/limits.ts";
import { type Outcome, outcomeWithoutRun, type Reason, type Usage } from "../jobs/outcome.ts";
import { classify } from "./classify.ts";
import type { GuestEnd } from "./guest-step.ts";

interface CompileEnd extends GuestEnd {
  readonly failure: string;
  /** What the compiler was held to. */
  readonly limits: Limits;
  readonly timeoutSec: number;
}

/** The job's end where its compiler did not do its work; null where it did. */
export function compileVerdict(end: CompileEnd): Outcome | null {
  const { exit, stopped, failure, limits } = end;
  const { status, reason, exitCode, signal, error } = classify({ exit, stopped, failure, limits });
  if (reason === null) return null;
  const isCompilers = reason !== "cancelled" && reason !== "sandbox_error";
  const outcome = isCompilers
    ? outcomeWithoutRun("failed", "compile_error", sentenceFor(reason, signal, end))
    : outcomeWithoutRun(status === "cancelled" ? "cancelled" : "failed", reason, error);
  return { ...outcome, exitCode, signal, oom: exit?.oom ?? null };
}

/** The outcome with what the job's compiler used; null: nobody can tell. */
export function withCompileUsage(outcome: Outcome, compileUsage: Usage | null): Outcome {
  return compileUsage === null ? outcome : { ...outcome, compileUsage };
}

function sentenceFor(reason: Reason, signal: string | null, end: CompileEnd): string {
  const { limits, timeoutSec } = end;
  const causes: Partial<Record<Reason, string>> = {
    wall_limit: `did not come to its end within ${timeoutSec} seconds (this server's COMPILE_TIMEOUT_SEC)`,
    cpu_limit: `used up ${timeoutSec} seconds of CPU time (this server's COMPILE_TIMEOUT_SEC)`,
    memory_limit: `ran out of memory, of which it had ${limits.memoryBytes / MIB} MiB (limits.memory_mb)`,
    disk_limit: `ran out of disk, of which it had ${limits.diskBytes / MIB} MiB (limits.disk_mb)`,
    process_limit: `ran out of processes, of which it had ${limits.processes} (limits.processes)`,
    signal: `was ended by ${signal}`,
  };
  const cause = causes[reason] ?? "refused the program; the log says why";
  return `The compiler ${cause}.`;
}
