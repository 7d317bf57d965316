import type { Egress } from "../egress/egress.ts";
import type { KeptFiles } from "../files/build-cache.ts";
import type { FileStore } from "../files/file-store.ts";
import type { JobRecord } from "../jobs/job.ts";
import type { StreamName } from "../jobs/log-entry.ts";
import type { Outcome, Usage } from "../jobs/outcome.ts";
import type { CompileStep, InstalledRuntime, InstallStep } from "../runtimes/runtime.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";

/*
 * What runs a job on this machine is given, and gives. A job has up to three steps, each a guest of its own: the installer of its
 * dependencies, where it asks for one, its compiler, where its language has one, and its program.
 */

/** Where a step's output goes. */
export interface LogSink {
  /** Resolves when there is room for more: a program that prints faster than that blocks in its pipe. */
  write(stream: StreamName, bytes: Uint8Array): Promise<void>;
  /** What was held back for the rest of a character will not be completed. */
  endStream(stream: StreamName): void;
}

/** What each step of a job needs. */
export interface JobStep {
  readonly job: JobRecord;
  readonly slot: number;
  readonly runtime: InstalledRuntime;
  readonly files: FileStore;
  readonly log: LogSink;
  /** The job is to be cancelled: its program is killed, its files are kept. */
  readonly cancelled: AbortSignal;
  /** The run is to be given up without a result: everything is taken down at once. */
  readonly abandoned: AbortSignal;
}

export interface Execution extends JobStep {
  readonly sandbox: Sandbox;
  readonly egress: Egress;
  readonly installer: Installer;
  readonly compiler: Compiler;
  /** Nothing of the job may run before this; where it rejects, the job is not to run here. */
  readonly claimed: Promise<void>;
  /** The program runs. */
  readonly onStarted: () => void;
}

/** What came of a job on this machine. */
export interface Executed {
  /**
   * How it ended, which includes that the sandbox failed; null when it was abandoned before its result was whole, or when
   * there is no sandbox that works, so that another worker or a later hour may run it.
   */
  readonly outcome: Outcome | null;
  /**
   * Takes down what is left of the run: to be called once, by whoever got this. Its program and all that it started are
   * dead by now unless it was abandoned, so that nobody who waits for the outcome has to wait for this. Resolves when
   * nothing is left on this machine. Until then its files take memory, even while a store that is away keeps its end waiting.
   */
  readonly takeDown: () => Promise<void>;
}

/** What came of a step before the program, of which nothing is left on this machine but the files. */
export type Built =
  /** To be closed by whoever got them, as in the next. `usage` is null where nobody can tell. */
  | { readonly kind: "made"; readonly files: KeptFiles; readonly usage: Usage | null }
  /** An earlier run of the same on the same files has made them. */
  | { readonly kind: "cached"; readonly files: KeptFiles }
  /** The job ends with it: its tool failed, the sandbox did, or the job was cancelled. */
  | { readonly kind: "ended"; readonly outcome: Outcome }
  /** It was abandoned, or there is no sandbox that works. */
  | { readonly kind: "given_up" };

export interface Installer {
  /**
   * Gets what a job's manifests name. What the installer prints goes to the log, as a stream of its own. Rejects only for an
   * error of this service.
   */
  install(job: JobStep, step: InstallStep): Promise<Built>;
}

export interface Compiler {
  /**
   * Makes what a job's program needs of its code files. What the compiler prints goes to the log, as a stream of its own. Rejects only for
   * an error of this service.
   */
  compile(job: JobStep, step: CompileStep): Promise<Built>;
}
