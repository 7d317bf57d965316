import { AppError, messageOf } from "../errors.ts";
import type { BuildCache, KeptFiles } from "../files/build-cache.ts";
import type { InputFile } from "../jobs/job.ts";
import { type Outcome, outcomeWithoutRun, type Usage } from "../jobs/outcome.ts";
import { compileRequest, folderBeside, helperInputs, isIn } from "../runtimes/compile-guest.ts";
import type { CompileBase, CompileStep } from "../runtimes/runtime.ts";
import type { Guest, GuestOutput, GuestRequest, Sandbox } from "../sandbox/sandbox.ts";
import { buildKey } from "./build-key.ts";
import { compileVerdict, withCompileUsage } from "./compile-verdict.ts";
import type { Compiled, Compiler, JobStep, LogSink } from "./executor.ts";
import {
  awaitEnd,
  pump,
  startGuest,
  unlessAbandoned,
  usageOf,
  withinCollectDeadline,
} from "./guest-step.ts";

/*
 * The compile step: a guest that is given a job's code files and nothing else of it (not its input files, arguments,
 * environment or network), so that what it makes is the same for every job with this code. That is kept under a name for
 * all of it, and the next job with this code does without the compile.
 */

export interface CompilerOptions {
  readonly sandbox: Sandbox;
  readonly cache: BuildCache;
  /** Of wall time, and of CPU time. */
  readonly timeoutSec: number;
}

export function createCompiler(options: CompilerOptions): Compiler {
  return new GuestCompiler(options);
}

/** One run of a compiler. */
interface Plan {
  readonly key: string;
  readonly request: GuestRequest;
  readonly log: LogSink;
}

interface Running {
  readonly guest: Guest;
  /** Of performance.now(). */
  readonly startedAtMs: number;
}

const SILENT: LogSink = { write: async () => undefined, endStream: () => undefined };
const GIVEN_UP: Compiled = { kind: "given_up" };

class GuestCompiler implements Compiler {
  readonly #options: CompilerOptions;
  /** Keys of bases that could not be made here, or not be kept: each job would make them again. */
  readonly #hopeless = new Set<string>();

  constructor(options: CompilerOptions) {
    this.#options = options;
  }

  async compile(job: JobStep, step: CompileStep): Promise<Compiled> {
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
      const guest = { ...this.#guestOf(job, step), argv, inputs, folder };
      return await this.#make(job, { key, request: compileRequest(guest), log: job.log });
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
  ): Promise<Compiled | null> {
    const { base } = step;
    const isUseless =
      base === undefined ||
      !this.#options.cache.keepsForLater ||
      code.some(({ path }) => isIn(path, base.folder) || isIn(base.folder, path));
    return isUseless ? null : await this.#base(job, step, base);
  }

  /** As it was kept, or made now; null where that fails. */
  async #base(job: JobStep, step: CompileStep, base: CompileBase): Promise<Compiled | null> {
    const { argv, folder } = base;
    const key = await buildKey({ runtime: job.runtime, step, argv, callerId: null, files: [] });
    if (this.#hopeless.has(key)) return null;
    const known = await this.#options.cache.find(key);
    if (known !== null) return { kind: "cached", files: known };
    const guest = { ...this.#guestOf(job, step), argv, inputs: [], folder };
    const made = await this.#make(job, { key, request: compileRequest(guest), log: SILENT });
    const isFailure = made.kind === "ended" && made.outcome.reason === "compile_error";
    if (isFailure || (made.kind === "made" && !made.files.isShared)) this.#hopeless.add(key);
    return made.kind === "ended" && made.outcome.status !== "cancelled" ? null : made;
  }

  /** Runs a compiler to its end and keeps what it has made. Nothing of the guest is left afterwards. */
  async #make(job: JobStep, plan: Plan): Promise<Compiled> {
    const startedAtMs = performance.now();
    const started = await startGuest(this.#options.sandbox, plan.request);
    if (started.guest === null)
      return started.outcome === null ? GIVEN_UP : { kind: "ended", outcome: started.outcome };
    const { guest } = started;
    try {
      const compiled = await unlessAbandoned(guest, job, () =>
        this.#attend(job, plan, { guest, startedAtMs }),
      );
      if (!job.abandoned.aborted) return compiled;
      if (compiled.kind === "made") await compiled.files.close();
      return GIVEN_UP;
    } finally {
      await guest.destroy();
    }
  }

  async #attend({ cancelled }: JobStep, plan: Plan, running: Running): Promise<Compiled> {
    const { guest, startedAtMs } = running;
    const { timeoutSec } = this.#options;
    const { key, request, log } = plan;
    const output = Promise.all([
      pump(guest.stdout, "compiler", log),
      pump(guest.stderr, "compiler", log),
    ]);
    // Awaited below; a pipe that fails before that is no unhandled error.
    output.catch(() => undefined);
    const end = await awaitEnd(guest, { timeoutMs: timeoutSec * 1000, cancelled });
    const usage = usageOf(end.exit, startedAtMs);
    const { limits } = request;
    const outcome = compileVerdict({ ...end, failure: guest.failure(), limits, timeoutSec });
    if (outcome !== null) {
      await output;
      return ended(outcome, usage);
    }
    // Together: the pipes end no later than the sandbox does, and the sandbox ends once its files are out.
    const [kept] = await Promise.all([this.#keep(key, guest, usage), output]);
    return kept;
  }

  async #keep(key: string, guest: Guest, usage: Usage | null): Promise<Compiled> {
    const { cache } = this.#options;
    let files: KeptFiles;
    try {
      files = await withinCollectDeadline(guest, () => cache.keep(key, wholeOutputs(guest)));
    } catch (error) {
      if (error instanceof NothingMade)
        return ended(
          { ...outcomeWithoutRun("failed", "compile_error", error.message), exitCode: 0 },
          usage,
        );
      const reason = `What the compiler made could not be kept: ${messageOf(error)}`;
      return ended(outcomeWithoutRun("failed", "sandbox_error", reason), usage);
    }
    return { kind: "made", files, usage };
  }
}

function ended(outcome: Outcome, usage: Usage | null): Compiled {
  return { kind: "ended", outcome: withCompileUsage(outcome, usage) };
}

function inputOf({ job, files }: JobStep, file: InputFile) {
  const { path, sizeBytes } = file;
  return { path, sizeBytes, bytes: () => files.readInput(job.id, file) };
}

class NothingMade extends Error {
  override readonly name = "NothingMade";
}

/** All that a compiler has made. Throws where that is nothing, or where the guest had to leave some of it out. */
async function* wholeOutputs(guest: Guest): AsyncGenerator<GuestOutput> {
  let count = 0;
  for await (const output of guest.outputs()) {
    count += 1;
    yield output;
  }
  const [warning] = guest.warnings();
  if (warning !== undefined) throw new AppError("sandbox_error", warning);
  if (count === 0) throw new NothingMade("The compiler made nothing that could be run.");
}
