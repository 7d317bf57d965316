import { MIB, type Limits } from "../jobs/limits.ts";
import type { Guest, GuestExit, GuestInput, GuestRequest, Sandbox } from "../sandbox/sandbox.ts";
import type { Language, Trial } from "./builtin/language.ts";
import { bytesInput, buildRequest, folderBeside, helperInputs, textInput } from "./build-guest.ts";
import type { CompileStep, InstalledRuntime } from "./runtime.ts";

/*
 * Has a runtime run a small program the way jobs will, which tells whether it is of any use to them, and its version.
 */

/** The defaults of a job, under which each runtime must be able to say hello. */
const TRIAL_LIMITS: Limits = {
  memoryBytes: 512 * MIB,
  cpuSec: 60,
  processes: 64,
  diskBytes: 256 * MIB,
  outputBytes: MIB,
};
const TRIAL_DEADLINE_MS = 10_000;
const MAX_VERSION_LENGTH = 64;

interface TrialPlace {
  readonly sandbox: Sandbox;
  /** Holds this service's own files for guests. */
  readonly runtimeDir: string;
}

/** The version that the runtime prints as a job; null when it cannot run one. */
export async function tryRuntime(
  runtime: InstalledRuntime,
  language: Language,
  { sandbox, runtimeDir }: TrialPlace,
): Promise<string | null> {
  const trial = language.trial(runtimeDir);
  const { compile } = runtime;
  try {
    if (compile === undefined) {
      // Jobs run without what a trial has left for them, only slower.
      const keep: TakeFile = async (path, bytes) => language.keep?.(runtimeDir, path, bytes);
      const takeFile = language.keep === undefined ? undefined : keep;
      return versionOf(await runToEnd(sandbox, runRequest(runtime, trial, []), takeFile));
    }
    const request = compileTrial(runtime, compile, trial);
    if (trial.argv !== undefined) return versionOf(await runToEnd(sandbox, request));
    const made: GuestInput[] = [];
    const isExecutable = compile.makesProgram;
    const { exit, isWhole } = await runToEnd(sandbox, request, async (path, bytes) => {
      made.push(bytesInput(path, bytes, { isExecutable }));
    });
    if (exit?.exitCode !== 0 || !isWhole) return null;
    return versionOf(await runToEnd(sandbox, runRequest(runtime, trial, made)));
  } catch {
    // It cannot be mounted or started: not a runtime of this machine's jobs.
    return null;
  }
}

function runRequest(
  runtime: InstalledRuntime,
  { entry, source, args = [] }: Trial,
  made: readonly GuestInput[],
): GuestRequest {
  return {
    argv: runtime.argv({
      entry,
      args,
      made: made.map(({ path }) => path),
      memoryBytes: TRIAL_LIMITS.memoryBytes,
    }),
    env: runtime.env({}),
    stdin: new Uint8Array(0),
    inputs: [textInput(entry, source), ...made],
    mounts: runtime.mounts,
    limits: TRIAL_LIMITS,
    memoryLimit: runtime.memoryLimit,
    memoryReserveBytes: runtime.memoryReserveBytes ?? 0,
    slot: 0,
  };
}

function compileTrial(
  runtime: InstalledRuntime,
  step: CompileStep,
  { entry, source, argv }: Trial,
): GuestRequest {
  const sources = { entry, files: [entry], folder: folderBeside([entry]) };
  return buildRequest({
    runtime,
    step,
    argv: argv?.(runtime.binary) ?? step.argv(sources),
    inputs: [textInput(entry, source), ...helperInputs(step, sources)],
    folder: sources.folder,
    limits: TRIAL_LIMITS,
    timeoutSec: TRIAL_LIMITS.cpuSec,
    slot: 0,
  });
}

function versionOf({ stdout, exit }: Ended): string | null {
  const version = stdout.split("\n", 1)[0]?.trim() ?? "";
  const isPlausible = version !== "" && version.length <= MAX_VERSION_LENGTH;
  return exit?.exitCode === 0 && isPlausible ? version : null;
}

interface Ended {
  readonly stdout: string;
  readonly exit: GuestExit | null;
  /** Every file was taken. */
  readonly isWhole: boolean;
}

type TakeFile = (path: string, bytes: Uint8Array) => Promise<void>;

/** `takeFile` is called for each file of a program that did well. Throws what starting a guest throws. */
async function runToEnd(
  sandbox: Sandbox,
  request: GuestRequest,
  takeFile?: TakeFile,
): Promise<Ended> {
  const guest = await sandbox.start(request);
  // A pipe that ends is what is waited for, and taking the guest down ends it.
  const deadline = setTimeout(() => void guest.destroy(), TRIAL_DEADLINE_MS);
  try {
    const [stdout, , exit] = await Promise.all([
      new Response(guest.stdout).text(),
      new Response(guest.stderr).text(),
      guest.exited,
    ]);
    const isTaken = takeFile !== undefined && exit?.exitCode === 0;
    return { stdout, exit, isWhole: isTaken && (await takeFiles(guest, takeFile)) };
  } finally {
    clearTimeout(deadline);
    await guest.destroy();
  }
}

/** false: they were cut off, or cannot be kept. */
async function takeFiles(guest: Guest, takeFile: TakeFile): Promise<boolean> {
  try {
    for await (const { path, bytes } of guest.outputs()) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of bytes) chunks.push(chunk);
      await takeFile(path, Buffer.concat(chunks));
    }
    return true;
  } catch {
    return false;
  }
}
