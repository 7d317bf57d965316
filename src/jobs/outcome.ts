import { MAX_CRASHES } from "./retry.ts";
import type { TerminalStatus } from "./states.ts";

/** Why a job ended as it did; tells apart causes that share a status. */
export const REASONS = [
  "exit_code",
  "signal",
  "memory_limit",
  "cpu_limit",
  "disk_limit",
  "process_limit",
  "wall_limit",
  "compile_error",
  "install_error",
  "cancelled",
  "worker_lost",
  "sandbox_error",
] as const;

export type Reason = (typeof REASONS)[number];

export interface Usage {
  readonly wallMs: number;
  readonly cpuMs: number;
  /** null where no cgroup measures it: rusage has this service's own memory as a floor. */
  readonly peakMemoryBytes: number | null;
}

/** A file that a run created or changed. `blob` is its place in the job's folder; `path` is what the program called it. */
export interface Artifact {
  readonly path: string;
  readonly blob: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** How one run of a program ended. A value: a program that fails is not an error of this service. */
export interface Outcome {
  readonly status: TerminalStatus;
  /** null exactly when the program succeeded. */
  readonly reason: Reason | null;
  /** null when a signal ended the program, or when it never ran. */
  readonly exitCode: number | null;
  /** A name such as `SIGSEGV`, or null. */
  readonly signal: string | null;
  /** true or false where the kernel's own counter was read, null where nobody can tell. */
  readonly oom: boolean | null;
  readonly usage: Usage | null;
  /** What its compiler used, whether the program ran or not; absent where none ran for this job. */
  readonly compileUsage?: Usage;
  /** The same of the installer of its dependencies. */
  readonly installUsage?: Usage;
  readonly artifacts: readonly Artifact[];
  /** What the user should know although the run is done, e.g. artifacts left out. */
  readonly warnings: readonly string[];
  /** One sentence about a failure of the sandbox or the worker; null when the program itself decided its end. */
  readonly error: string | null;
}

/**
 * The end of a job that somebody asked to cancel and that no worker is there to end: it waits in a queue, was handed
 * back, or its worker died.
 */
export function cancelledWithoutWorker(): Outcome {
  return outcomeWithoutRun("cancelled", "cancelled", null);
}

/** The end of a job whose workers died MAX_CRASHES times. */
export function lostAfterCrashes(): Outcome {
  const times = MAX_CRASHES.toString();
  return outcomeWithoutRun(
    "lost",
    "worker_lost",
    `The worker died ${times} times while it ran this job`,
  );
}

/** CPU time that a job has taken, that of what ran before its program included. */
export function cpuMsOf({ usage, compileUsage, installUsage }: Outcome): number {
  const parts = [usage, compileUsage, installUsage].map((part) => part?.cpuMs ?? 0);
  return Math.round(parts.reduce((sum, cpuMs) => sum + cpuMs, 0));
}

/** The outcome of a job whose program never ran or whose end nobody saw. */
export function outcomeWithoutRun(
  status: "cancelled" | "lost" | "failed",
  reason: Reason,
  error: string | null,
): Outcome {
  return {
    status,
    reason,
    exitCode: null,
    signal: null,
    oom: null,
    usage: null,
    artifacts: [],
    warnings: [],
    error,
  };
}
