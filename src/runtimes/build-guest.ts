import type { Limits } from "../jobs/limits.ts";
import type { GuestInput, GuestRequest } from "../sandbox/sandbox.ts";
import type { BuildStep, CompileStep, InstalledRuntime, Sources } from "./runtime.ts";

/*
 * The guest in which a step before the program runs, for jobs and for the trial of a language alike.
 */

const FOLDER = ".compiled";

/** A folder for what a compile makes that is in the way of none of these files. */
export function folderBeside(paths: readonly string[]): string {
  for (let number = 1; ; number++) {
    const folder = number === 1 ? FOLDER : `${FOLDER}-${number}`;
    if (!paths.some((path) => isIn(path, folder))) return folder;
  }
}

/** Whether a path is that of the folder, or of something in it. */
export function isIn(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

interface BuildGuest {
  readonly runtime: Pick<InstalledRuntime, "mounts">;
  readonly step: BuildStep;
  readonly argv: readonly string[];
  readonly inputs: readonly GuestInput[];
  /** Of what it makes. */
  readonly folder: string;
  /** Of the job, as far as they count for the step. */
  readonly limits: Limits;
  readonly timeoutSec: number;
  /** Absent: it has no network. */
  readonly proxySocket?: string;
  readonly slot: number;
}

export function buildRequest(guest: BuildGuest): GuestRequest {
  const { runtime, step, argv, inputs, folder, proxySocket, slot } = guest;
  return {
    argv,
    env: step.env,
    stdin: new Uint8Array(0),
    inputs,
    outputsBelow: folder,
    mounts: runtime.mounts,
    limits: stepLimits(guest),
    memoryLimit: step.memoryLimit,
    ...(proxySocket === undefined ? {} : { proxySocket }),
    slot,
  };
}

/** A job that is content with little gets what its program needs all the same. */
function stepLimits({ step: { needs }, limits, timeoutSec }: BuildGuest): Limits {
  return {
    memoryBytes: Math.max(limits.memoryBytes, needs.memoryBytes),
    cpuSec: timeoutSec,
    processes: Math.max(limits.processes, needs.processes),
    diskBytes: Math.max(limits.diskBytes, needs.diskBytes),
    outputBytes: limits.outputBytes,
  };
}

/** The step's own files. */
export function helperInputs({ helpers = {} }: CompileStep, { folder }: Sources): GuestInput[] {
  return Object.entries(helpers).map(([name, text]) => textInput(`${folder}/${name}`, text));
}

export function textInput(path: string, text: string): GuestInput {
  return bytesInput(path, new TextEncoder().encode(text));
}

export function bytesInput(
  path: string,
  bytes: Uint8Array,
  more: Pick<GuestInput, "isExecutable"> = {},
): GuestInput {
  return {
    ...more,
    path,
    sizeBytes: bytes.length,
    bytes: () =>
      (async function* () {
        yield await Promise.resolve(bytes);
      })(),
  };
}
