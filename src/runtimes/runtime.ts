import type { Limits } from "../jobs/limits.ts";
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
  /** The real binary, behind version-manager shims and symlinks that leave its prefix; the compiler, where there is one. */
  readonly binary: string;
  /** What the guest must be able to read beyond /usr. */
  readonly mounts: readonly ReadOnlyMount[];
  readonly memoryLimit: GuestRequest["memoryLimit"];
  readonly memoryReserveBytes?: number;
  /** The program and its arguments that run a job. */
  readonly argv: (program: Program) => readonly string[];
  /** The job's environment with what this runtime needs added, e.g. for line-buffered output. */
  readonly env: (jobEnv: Readonly<Record<string, string>>) => Readonly<Record<string, string>>;
  /** Gets what a job's code needs; absent: there is nothing to do that with, or jobs here have no network. */
  readonly install?: InstallStep;
  /** Makes of a job's code what `argv` runs; absent: the entry is run as it is. */
  readonly compile?: CompileStep;
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

/** What a job runs. Its paths are relative to the working directory. */
export interface Program {
  readonly entry: string;
  readonly args: readonly string[];
  /** What the compile step made, all in its one folder; empty for a language without one. */
  readonly made: readonly string[];
  /** What the job may use. */
  readonly memoryBytes: number;
}

/** What a step of a job before its program is run with, in a guest of its own. */
export interface BuildStep {
  /** All of its environment beyond the sandbox's base: none of the job's. */
  readonly env: Readonly<Record<string, string>>;
  readonly memoryLimit: GuestRequest["memoryLimit"];
  /** What it gets where the job itself asks for less. */
  readonly needs: BuildNeeds;
}

export type BuildNeeds = Pick<Limits, "memoryBytes" | "processes" | "diskBytes">;

/** How the dependencies of a job are installed, by a tool that has nothing of the job but what names them. */
export interface InstallStep extends BuildStep {
  /** The files that it reads, at the top of a job's code: the first has to be there. */
  readonly manifests: readonly [required: string, ...others: readonly string[]];
  /** `manifests`: those of them that the job has, in the same order. */
  readonly argv: (manifests: readonly string[]) => readonly string[];
  /** What the tool must be able to read beyond what its runtime must. */
  readonly mounts: readonly ReadOnlyMount[];
  /** Where the packages come out, in the working directory of the tool, and are put in that of the program. */
  readonly folder: string;
  /** The job's environment with what makes its program find them there. */
  readonly programEnv: (
    jobEnv: Readonly<Record<string, string>>,
  ) => Readonly<Record<string, string>>;
}

/** How a language's compiler is run, which has nothing of a job but its code. */
export interface CompileStep extends BuildStep {
  readonly argv: (sources: Sources) => readonly string[];
  /** Files of this service by name, for the compiler to find in the folder of what it makes. */
  readonly helpers?: Readonly<Record<string, string>>;
  /** What it makes is run by itself, and so has to be executable. */
  readonly makesProgram: boolean;
  readonly base?: CompileBase;
}

/** What a compiler is to work on. Paths are relative to the working directory. */
export interface Sources {
  readonly entry: string;
  /** All code files, the entry among them. */
  readonly files: readonly string[];
  /** The folder for what is made, which is there and has nothing in it but the helpers. */
  readonly folder: string;
}

/**
 * What every compile of a language would begin with by itself, such as compiling the standard library: done once with no
 * file of any job, and given to each compile.
 */
export interface CompileBase {
  readonly argv: readonly string[];
  /** The folder for what it makes, under which each compile finds it again. */
  readonly folder: string;
}

/** What of a job tells whether a started interpreter can run it. */
interface RuntimeJob {
  readonly entry: string;
  readonly env: Readonly<Record<string, string>>;
  /** Relative paths of all its files. */
  readonly files: readonly string[];
}

/** What others than the worker need to know of a runtime. */
interface RuntimeInfo {
  readonly name: string;
  readonly version: string;
  readonly aliases: readonly string[];
  readonly extensions: readonly string[];
  readonly compiles: boolean;
  readonly installs: string | null;
}

export function runtimeInfo(runtime: InstalledRuntime): RuntimeInfo {
  const { name, version, aliases, extensions, compile, install } = runtime;
  const compiles = compile !== undefined;
  const installs = install?.manifests[0] ?? null;
  return { name, version, aliases, extensions, compiles, installs };
}
