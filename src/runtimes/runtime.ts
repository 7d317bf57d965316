import type { GuestRequest, ReadOnlyMount, WaitingInterpreter } from "../sandbox/sandbox.ts";

/** A language as it was found on this machine and tried inside the sandbox. */
export interface InstalledRuntime {
  /** Canonical name, e.g. `python3.11`, `node`, `bash`. */
  readonly name: string;
  /** Full version as the program itself reports it, e.g. `3.11.2`. */
  readonly version: string;
  /** Other names that mean this one, e.g. `python3`, `python`. */
  readonly aliases: readonly string[];
  /** Extensions of an entry that choose this runtime when the spec names none, e.g. `.py`. */
  readonly extensions: readonly string[];
  /** The real binary, behind version-manager shims and symlinks that leave its prefix. */
  readonly binary: string;
  /** What the guest must be able to read beyond /usr. */
  readonly mounts: readonly ReadOnlyMount[];
  readonly memoryLimit: GuestRequest["memoryLimit"];
  readonly memoryReserveBytes?: number;
  /** The program and its arguments that run `entry` (relative to the working directory). */
  readonly argv: (entry: string, args: readonly string[]) => readonly string[];
  /** The job's environment with what this runtime needs added, e.g. for line-buffered output. */
  readonly env: (jobEnv: Readonly<Record<string, string>>) => Readonly<Record<string, string>>;
  /**
   * The interpreter that can be started before a job like this is there, and then runs it as a fresh one would; null where a
   * started one could not honour what the job asks for. Absent: starting this one ahead gains nothing.
   */
  readonly interpreterFor?: (job: RuntimeJob) => WaitingInterpreter | null;
  /**
   * Processes and threads that this interpreter has by the time that it waits. A job that may have fewer starts a fresh one,
   * which is refused the rest, as it would be without one that waits. Absent: one.
   */
  readonly waitingThreads?: number;
}

/** What of a job tells whether a started interpreter can run it. */
interface RuntimeJob {
  readonly entry: string;
  readonly env: Readonly<Record<string, string>>;
  /** Relative paths of all its files. */
  readonly files: readonly string[];
}
