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
}

export interface GuestRequest {
  /** Absolute path of the program and its arguments. */
  readonly argv: readonly string[];
  /** The guest's environment, over the driver's small base (PATH, HOME, TMPDIR, LANG). Nothing else gets in. */
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: Uint8Array;
  readonly inputs: readonly GuestInput[];
  readonly mounts: readonly ReadOnlyMount[];
  readonly limits: Limits;
  /** How the memory limit is put on a process: a runtime that reserves address space cannot live with `address_space`. */
  readonly memoryLimit: "address_space" | "data" | "none";
  /** What the runtime reserves without using it; added to the limit, which counts it. Absent: nothing. */
  readonly memoryReserveBytes?: number;
  /** Unix socket of an HTTP proxy, the guest's only way to any network; absent: none. The driver may change its owner. */
  readonly proxySocket?: string;
  /** Which of the worker's slots this is: picks the uid. */
  readonly slot: number;
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
   * broke (`failure` says how).
   */
  readonly exited: Promise<GuestExit | null>;
  /** What the sandbox said when it could not run the guest, or broke; empty otherwise. */
  failure(): string;
  /**
   * The regular files in the working directory; only after `exited`. Guest-made data: names and sizes may be anything
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
  /** What keeps it from being ready, in sentences with their remedies; for /health. */
  readonly problems: readonly string[];
  /** What is weaker than it could be, likewise. */
  readonly gaps: readonly string[];
  /** null: limits hold by rlimits and by looking at the processes now and then. */
  readonly cgroup: "v1" | "v2" | null;
  readonly seccomp: boolean;
}

export interface Sandbox {
  /**
   * Starts a guest; resolves once its program runs, its inputs in place. Throws AppError `sandbox_error` when it cannot
   * be started, or whatever reading an input threw; nothing is left of it then.
   */
  start(request: GuestRequest): Promise<Guest>;
  /** Runs the self-test now. Never throws. */
  selfTest(): Promise<SandboxStatus>;
}
