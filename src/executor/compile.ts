import type { InputFile } from "../jobs/job.ts";
import type { Usage } from "../jobs/outcome.ts";
import { buildRequest, folderBeside, helperInputs, isIn } from "../runtimes/build-guest.ts";
import type { CompileBase, CompileStep } from "../runtimes/runtime.ts";
import { buildKey } from "./build-key.ts";
import { type BuildStepOptions, ended, runBuild } from "./build-step.ts";
import type { BuildTool } from "./build-verdict.ts";
import type { Built, Compiler, JobStep, LogSink } from "./executor.ts";
import { inputOf } from "./guest-step.ts";

/*
 * The compile step: a guest that is given a job's code files and nothing else of it (not its input files, arguments,
 * environment or network), so that what it makes is the same for every job with this code. That is kept under a name for
 * all of it, and the next job with this code does without the compile.
 */

export function createCompiler(options: BuildStepOptions): Compiler {
  return new GuestCompiler(options);
}

const TOOL: BuildTool = {
  stream: "compiler",
  reason: "compile_error",
  timeoutVariable: "COMPILE_TIMEOUT_SEC",
  refusal: "refused the program; the log says why",
  nothing: "The compiler made nothing that could be run.",
  usage: "compileUsage",
};

const SILENT: LogSink = { write: async () => undefined, endStream: () => undefined };

class GuestCompiler implements Compiler {
  readonly #options: BuildStepOptions;
  /** Keys of bases that could not be made here, or not be kept: each job would make them again. */
  readonly #hopeless = new Set<string>();

  constructor(options: BuildStepOptions) {
    this.#options = options;
  }

  async compile(job: JobStep, step: CompileStep): Promise<Built> {
    const { runtime } = job;
    const { spec, files } = job.job;
    const code = files.filter(({ path, role }) => role === "code" || path === spec.entry);
    const folder = folderBeside(files.map(({ path }) => path));
    const sources = { entry: spec.entry, files: code.map(({ path }) => path), folder };
    const argv = step.argv(sources);
    const callerId = job.job.keyId;
    const key = await buildKey({ runtime, step, argv, callerId, files: code });
    const known = await this.#options.cache.find(key);
    if (known !== null) return { kind: "cached", files: known };
    const base = await this.#baseFor(job, step, code);
    if (base !== null && base.kind !== "made" && base.kind !== "cached") return base;
    try {
      const inputs = [
        ...code.map((file) => inputOf(job, file)),
        ...helperInputs(step, sources),
        ...(base?.files.files ?? []),
      ];
      const request = buildRequest({ ...this.#guestOf(job, step), argv, inputs, folder });
      const built = await runBuild(this.#options, job, { tool: TOOL, key, request, log: job.log });
      return base?.kind === "made" ? withBaseUsage(built, base.usage) : built;
    } finally {
      await base?.files.close();
    }
  }

  #guestOf({ job, runtime, slot }: JobStep, step: CompileStep) {
    const { timeoutSec } = this.#options;
    return { runtime, step, limits: job.spec.limits, timeoutSec, slot };
  }

  /** What the compile begins with; null where it has to do all of it itself. */
  async #baseFor(
    job: JobStep,
    step: CompileStep,
    code: readonly InputFile[],
  ): Promise<Built | null> {
    const { base } = step;
    const isUseless =
      base === undefined ||
      !this.#options.cache.keepsForLater ||
      code.some(({ path }) => isIn(path, base.folder) || isIn(base.folder, path));
    return isUseless ? null : await this.#base(job, step, base);
  }

  /** As it was kept, or made now; null where that fails. */
  async #base(job: JobStep, step: CompileStep, base: CompileBase): Promise<Built | null> {
    const { argv, folder } = base;
    const key = await buildKey({ runtime: job.runtime, step, argv, callerId: null, files: [] });
    if (this.#hopeless.has(key)) return null;
    const known = await this.#options.cache.find(key);
    if (known !== null) return { kind: "cached", files: known };
    const request = buildRequest({ ...this.#guestOf(job, step), argv, inputs: [], folder });
    const made = await runBuild(this.#options, job, { tool: TOOL, key, request, log: SILENT });
    // One that ran out of time may do better on another day, and one that was refused will not.
    const isFailure =
      made.kind === "ended" &&
      made.outcome.reason === "compile_error" &&
      made.outcome.exitCode !== null;
    if (isFailure || (made.kind === "made" && !made.files.isShared)) this.#hopeless.add(key);
    return made.kind === "ended" && made.outcome.status !== "cancelled" ? null : made;
  }
}

/** What a base took is the job's for which it was made. */
function withBaseUsage(built: Built, base: Usage | null): Built {
  if (base === null) return built;
  if (built.kind === "made") return { ...built, usage: sumOf(base, built.usage) };
  if (built.kind !== "ended") return built;
  const { outcome } = built;
  return ended({ ...outcome, compileUsage: sumOf(base, outcome.compileUsage ?? null) });
}

function sumOf(first: Usage, second: Usage | null): Usage {
  if (second === null) return first;
  const peaks = [first.peakMemoryBytes, second.peakMemoryBytes].filter((peak) => peak !== null);
  return {
    wallMs: first.wallMs + second.wallMs,
    cpuMs: first.cpuMs + second.cpuMs,
    peakMemoryBytes: peaks.length === 0 ? null : Math.max(...peaks),
  };
}
