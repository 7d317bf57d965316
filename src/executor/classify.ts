import { constants } from "node:os";

import type { Limits } from "../jobs/limits.ts";
import type { Outcome, Reason } from "../jobs/outcome.ts";
import type { GuestExit, GuestLimit } from "../sandbox/sandbox.ts";

/** Why we stopped a program that had not ended by itself. */
export type StopCause = "timeout" | "cancelled";

type Verdict = Pick<Outcome, "status" | "reason" | "exitCode" | "signal" | "error">;

const SIGNAL_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.signals).map(([name, number]) => [number, name]),
);

/** `SIGSEGV` for 11; `SIG40` for one without a name. */
export function signalName(number: number): string {
  return SIGNAL_NAMES.get(number) ?? `SIG${number}`;
}

/**
 * What a run came to. `stopped` is why we ended it, null when it ended by itself; `exit` is null when the sandbox broke,
 * and `failure` then says how.
 */
export function classify(run: {
  readonly exit: GuestExit | null;
  readonly stopped: StopCause | null;
  readonly failure: string;
  readonly limits: Limits;
}): Verdict {
  const { exit, stopped } = run;
  const exitCode = exit?.exitCode ?? null;
  const signal = exit?.signalNumber == null ? null : signalName(exit.signalNumber);
  const ended = { exitCode, signal, error: null };
  if (stopped === "timeout") return { ...ended, status: "timed_out", reason: "wall_limit" };
  if (stopped === "cancelled") return { ...ended, status: "cancelled", reason: "cancelled" };
  if (exit === null)
    return { ...ended, status: "failed", reason: "sandbox_error", error: run.failure };
  const limit = exit.endedFor ?? (exitCode === 0 ? null : limitBehind(exit, run.limits));
  if (limit === "cpu") return { ...ended, status: "timed_out", reason: "cpu_limit" };
  if (limit !== null) return { ...ended, status: "failed", reason: LIMIT_REASONS[limit] };
  if (signal !== null) return { ...ended, status: "failed", reason: "signal" };
  if (exitCode === 0) return { ...ended, status: "succeeded", reason: null };
  return { ...ended, status: "failed", reason: "exit_code" };
}

const LIMIT_REASONS = {
  memory: "memory_limit",
  disk: "disk_limit",
  processes: "process_limit",
} as const satisfies Record<Exclude<GuestLimit, "cpu">, Reason>;

/**
 * The limit that a failed program most likely failed for: one that it died of, else one that it met. A program that met
 * several is told of the one that leaves it the least choice.
 */
function limitBehind(exit: GuestExit, limits: Limits): GuestLimit | null {
  if (exit.limitsMet.includes("memory")) return "memory";
  if (isCpuLimit(exit, limits)) return "cpu";
  return (["disk", "processes"] as const).find((each) => exit.limitsMet.includes(each)) ?? null;
}

/**
 * The kernel acts on a count of whole ticks, and tells the exact time: on a busy machine the two differ by several percent.
 * A program that has used less than this share of its limit was not ended for it.
 */
const LEAST_SHARE = 0.5;

/**
 * RLIMIT_CPU sends SIGXCPU at the soft limit and, to a program that ignores it, SIGKILL at the hard one (setrlimit(2)).
 * A program can send itself either without having used the time.
 */
function isCpuLimit(exit: GuestExit, limits: Limits): boolean {
  const { SIGXCPU, SIGKILL } = constants.signals;
  const isItsSignal = exit.signalNumber === SIGXCPU || exit.signalNumber === SIGKILL;
  return isItsSignal && exit.cpuMs >= limits.cpuSec * 1000 * LEAST_SHARE;
}
