import { AppError } from "../errors.ts";
import type { Limits } from "../jobs/limits.ts";

/*
 * The wall around a guest: one program, its files and everything it starts. A driver isolates or refuses; it never runs
 * a guest with less than it was asked for.
 */

/** A host directory or file that the guest may read, at the same path. */
export interface ReadOnlyMount {
  readonly hostPath: string;
  /** Where the guest sees it; the same path when absent. */
  readonly guestPath?: string;
}

/** A file for the guest's working directory. */
export interface GuestInput {
  /** Relative, validated (jobs/paths.ts). */
  readonly path: string;
  readonly sizeBytes: number;
  readonly bytes: () => AsyncIterable<Uint8Array>;
  /** A program, which the guest may start; absent: none. */
  readonly isExecutable?: boolean;
}

/**
 * An interpreter that can be started before it is known what it is to run: it then waits until it is told its job, and runs
 * that as a fresh one would (runtimes/runtime.ts).
 */
export interface WaitingInterpreter {
  /** Absolute path of the program and its arguments, those of a job without arguments. */
  readonly argv: readonly string[];
  /** Its environment while it waits, over the driver's base; a job's own takes the place of all of it. */
  readonly env: Readonly<Record<string, string>>;
}

/** What a sandbox is set up with; another guest than one for just this cannot use it. */
export interface GuestSetup {
  readonly mounts: readonly ReadOnlyMount[];
  readonly diskBytes: number;
  /** Unix socket of an HTTP proxy, the guest's only way to any network; absent: none. The driver may change its owner. */
  readonly proxySocket?: string;
}

export interface GuestRequest {
  /** Path of the program, absolute or from the working directory, and its arguments. */
  readonly argv: readonly string[];
  /** What may have been started ahead to run just this `argv`, its arguments apart; absent: it must be started anew. */
  readonly interpreter?: WaitingInterpreter;
  /** The guest's environment, over the driver's small base (PATH, HOME, TMPDIR, LANG). Nothing else gets in. */
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: Uint8Array;
  readonly inputs: readonly GuestInput[];
  /** A folder of the working directory, made for the guest: outputs() has what is below it alone. Absent: everything. */
  readonly outputsBelow?: string;
  /** A folder of the working directory of which outputs() has nothing, whatever becomes of it. Absent: none. */
  readonly noOutputsBelow?: string;
  readonly mounts: readonly ReadOnlyMount[];
  readonly limits: Limits;
  /** How the memory limit is put on a process: a runtime that reserves address space cannot live with `address_space`. */
  readonly memoryLimit: "address_space" | "data" | "none";
  /** What the runtime reserves without using it; added to the limit, which counts it. Absent: nothing. */
  readonly memoryReserveBytes?: number;
  /** See GuestSetup. */
  readonly proxySocket?: string;
  /** Which of the worker's slots this is for. */
  readonly slot: number;
  /**
   * Awaited once everything is in place, before anything of the guest runs: where it rejects, start() does so too. Absent: at
   * once.
   */
  readonly mayStart?: Promise<void>;
}

/** What a guest can run out of. */
export type GuestLimit = "memory" | "cpu" | "disk" | "processes";

/** How the guest's main process ended, as its parent saw it. */
export interface GuestExit {
  /** null when a signal ended it. */
  readonly exitCode: number | null;
  /** Number of the signal, or null. */
  readonly signalNumber: number | null;
  /** Of all processes of the guest. */
  readonly cpuMs: number;
  /** Of all processes of the guest together, their files in tmpfs included; null where nothing measures it. */
  readonly peakMemoryBytes: number | null;
  /** Whether any process was killed for want of memory; null where nobody can tell. */
  readonly oom: boolean | null;
  /** The limit that the sandbox ended the guest for; null when the guest ended by itself, was stopped, or was killed. */
  readonly endedFor: GuestLimit | null;
  /** Limits that were met: something was refused or killed for them. A program may well live with that. */
  readonly limitsMet: readonly GuestLimit[];
}

/** A file found in the working directory after the end; the consumer must drain `bytes` before asking for the next. */
export interface GuestOutput {
  readonly path: string;
  readonly sizeBytes: number;
  readonly bytes: AsyncIterable<Uint8Array>;
}

export interface Guest {
  /** Real pipes (a program may reopen /dev/stdout); each ends when every process of the guest is gone. */
  readonly stdout: ReadableStream<Uint8Array>;
  readonly stderr: ReadableStream<Uint8Array>;
  /**
   * Resolves when the program has ended and every other process of the guest is dead. null when the sandbox itself
   * broke (`failure` says how). Never rejects.
   */
  readonly exited: Promise<GuestExit | null>;
  /** What the sandbox said when it could not run the guest, or broke; empty otherwise. */
  failure(): string;
  /**
   * The regular files in the working directory, or below `outputsBelow`; only after `exited`. Guest-made data: names and sizes may be anything
   * that fits the caps. Throws when it is malformed or cut off.
   */
  outputs(): AsyncIterable<GuestOutput>;
  /** What the user should know of the outputs, e.g. how many were left out and why; complete once outputs() has ended. */
  warnings(): readonly string[];
  /**
   * Kills every process of the guest but keeps its files for outputs(). Idempotent. `exited` resolves within a few
   * seconds, if need be with null: a guest that hinders its own end loses its files.
   */
  stop(): void;
  /**
   * Takes everything down: files, and what stdout and stderr still hold unread. Idempotent. Resolves when no process of
   * the guest is left. Every guest must be destroyed, also one that has ended.
   */
  destroy(): Promise<void>;
}

/** What an operator can demand by SANDBOX_REQUIRE. */
export type SandboxFeature = "cgroup" | "seccomp";

export interface SandboxStatus {
  readonly driver: "bwrap" | "none";
  /** true when a real job ran in it and found itself contained. */
  readonly ready: boolean;
  /** Its first test is under way, and says within a second or two whether it is. */
  readonly isUntested?: true;
  /** What keeps it from being ready, in sentences with their remedies; for /health. */
  readonly problems: readonly string[];
  /** What is weaker than it could be, likewise. */
  readonly gaps: readonly string[];
  /** null: limits hold by rlimits and by looking at the processes now and then. */
  readonly cgroup: "v1" | "v2" | null;
  readonly seccomp: boolean;
}

/**
 * AppError `sandbox_error` of a sandbox that broke, as far as anybody can tell by no fault of what it was to run: its program
 * has not been started, and another sandbox may well run it.
 */
export class BrokenSandbox extends AppError {
  constructor(message: string, cause?: unknown) {
    super("sandbox_error", message, cause === undefined ? {} : { cause });
  }
}

/** A sandbox that has been set up for one guest. */
export interface PreparedGuest {
  /**
   * There is no guest yet: starts what can be started ahead, `interpreter` among it where it is given. Resolves when there is
   * nothing left to do; to false when it has ended, or is of no use. Called once, before run().
   */
  wait(interpreter: WaitingInterpreter | undefined): Promise<boolean>;
  /** Resolves when it has ended, by itself or because it was destroyed. */
  readonly gone: Promise<void>;
  /**
   * What it or its interpreter said where wait() came to nothing; empty where neither said anything. It is of no use afterwards,
   * and still to be destroyed.
   */
  lastWords(): Promise<string>;
  /** Of everything that waits in it, now; 0 when nobody can tell. */
  memoryBytes(): number;
  /**
   * Runs its guest, as Sandbox.start does and with the errors of that, of which BrokenSandbox is told apart; may be called
   * while wait() is under way. Called once: whatever it throws, nothing is left then.
   */
  run(request: GuestRequest): Promise<Guest>;
  /** Takes it down. Idempotent; a no-op once run() was called, whose guest is destroyed by itself. */
  destroy(): Promise<void>;
}

export interface Sandbox {
  /**
   * Starts a guest; resolves once its program runs, its inputs in place. Throws AppError `sandbox_error` when it cannot
   * be started, whatever reading an input threw, what `mayStart` rejected with, or what the system threw once the program ran,
   * which is not to be started a second time; nothing is left of it then.
   */
  start(request: GuestRequest): Promise<Guest>;
  /** Runs the self-test now. Never throws. */
  selfTest(): Promise<SandboxStatus>;
}

/** A sandbox that can be set up ahead of its guest. */
export interface PreparableSandbox extends Sandbox {
  /** Throws AppError `sandbox_error` when it cannot be set up; nothing is left of it then. */
  prepare(setup: GuestSetup): Promise<PreparedGuest>;
}

/** What a sandbox must be set up with to run `request`. */
export function setupOf({ mounts, limits, proxySocket }: GuestRequest): GuestSetup {
  const { diskBytes } = limits;
  return { mounts, diskBytes, ...(proxySocket === undefined ? {} : { proxySocket }) };
}

/** Sets a sandbox up and runs the guest in it at once: what start() is where none waits. */
export async function startCold(
  prepare: PreparableSandbox["prepare"],
  request: GuestRequest,
): Promise<Guest> {
  const prepared = await prepare(setupOf(request));
  return prepared.run(request);
}
