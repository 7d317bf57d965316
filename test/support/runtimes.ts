import { LANGUAGE_NAMES } from "../../src/jobs/languages.ts";
import { afterAll, beforeAll } from "bun:test";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";

import {
  bytesInput,
  buildRequest,
  folderBeside,
  helperInputs,
} from "../../src/runtimes/build-guest.ts";
import { discoverRuntimes } from "../../src/runtimes/discover.ts";
import { absentLanguages } from "../../src/runtimes/languages.ts";
import type { CompileStep, InstalledRuntime, Program } from "../../src/runtimes/runtime.ts";
import { createBubblewrap } from "../../src/sandbox/bubblewrap.ts";
import type { GuestInput, Sandbox } from "../../src/sandbox/sandbox.ts";
import {
  DEFAULT_LIMITS,
  finish,
  type Finished,
  outputsOf,
  Printed,
  runGuest,
  textInput,
} from "./guests.ts";

export interface Job {
  readonly runtime: string;
  readonly entry: string;
  readonly files: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** What a job without a compile step runs. */
export function programOf(entry: string, args: readonly string[] = []): Program {
  return { entry, args, made: [], memoryBytes: DEFAULT_LIMITS.memoryBytes };
}

/** What setup.sh installs, or needs itself: a run that has to stand for all languages has these at least. */
const ALWAYS_THERE = ["python", "bun", "bash", "sh", "c", "c++", "perl", "lua"];

/** The runtimes of this machine, found once per test file, and a way to run a job on one of them as a worker would. */
export function useRuntimes() {
  const runtimeDir = mkdtempSync(join(tmpdir(), "job-runner-runtimes-"));
  chmodSync(runtimeDir, 0o755);
  const sandbox: Sandbox = createBubblewrap({ uids: { first: 30_001, last: 30_100 }, runtimeDir });
  let found: readonly InstalledRuntime[] = [];
  const discover = (searchPath = `${dirname(process.execPath)}:/usr/bin:/bin`) =>
    discoverRuntimes({
      languages: LANGUAGE_NAMES,
      sandbox,
      searchPath,
      homeDirectory: homedir(),
      runtimeDir,
      mayInstall: true,
    });
  beforeAll(async () => {
    found = await discover();
  }, 30_000);
  afterAll(() => rmSync(runtimeDir, { recursive: true, force: true }));

  const named = (name: string): InstalledRuntime => {
    const runtime = found.find((each) => each.name === name || each.aliases.includes(name));
    if (runtime === undefined) throw new Error(`${name} was not found`);
    return runtime;
  };
  return {
    runtimeDir,
    sandbox,
    discover,
    all: () => found,
    named,
    /** The body of a test of a language; where that is absent it says what to install. */
    whereInstalled: (language: string, body: () => Promise<void>) => () =>
      unlessAbsent(language, absentLanguages(found, LANGUAGE_NAMES), body),
    /** What a program that has not ended has printed, once `part` is among it. */
    async printedBefore(name: string, entry: string, source: string, part: string) {
      const runtime = named(name);
      const guest = await sandbox.start({
        argv: runtime.argv(programOf(entry)),
        env: runtime.env({}),
        stdin: new Uint8Array(0),
        inputs: [textInput(entry, source)],
        mounts: runtime.mounts,
        limits: DEFAULT_LIMITS,
        memoryLimit: runtime.memoryLimit,
        slot: 0,
      });
      try {
        const printed = new Printed(guest.stdout);
        await printed.until(part);
        return printed.text;
      } finally {
        await guest.destroy();
      }
    },
    /** Runs a job on a runtime; where its compiler fails, gives what came of that. */
    async run({ runtime: name, entry, files, args = [], env = {} }: Job): Promise<Finished> {
      const runtime = named(name);
      const inputs = Object.entries(files).map(([path, text]) => textInput(path, text));
      const made =
        runtime.compile === undefined
          ? []
          : await compile(sandbox, { runtime, step: runtime.compile, entry, inputs });
      if (!Array.isArray(made)) return made;
      return await runGuest(sandbox, {
        argv: runtime.argv({ ...programOf(entry, args), made: made.map(({ path }) => path) }),
        env: runtime.env(env),
        stdin: new Uint8Array(0),
        inputs: [...inputs, ...made],
        mounts: runtime.mounts,
        limits: DEFAULT_LIMITS,
        memoryLimit: runtime.memoryLimit,
        memoryReserveBytes: runtime.memoryReserveBytes ?? 0,
        slot: 0,
      });
    },
  };
}

/** Runs the body of a test of a language where that is there; says what to install where it may be absent. */
export async function unlessAbsent(
  language: string,
  absentOnes: readonly { readonly name: string; readonly hint: string }[],
  body: () => Promise<void>,
): Promise<void> {
  const absent = absentOnes.find(({ name }) => name === language);
  if (absent === undefined) return await body();
  const sentence = `${language} is not installed here, so that nothing of it was tried: ${absent.hint}`;
  if (process.env["CI"] === "true" && ALWAYS_THERE.includes(language)) throw new Error(sentence);
  console.info(sentence);
}

/** What the compiler makes; what came of it where it fails. */
async function compile(
  sandbox: Sandbox,
  job: {
    readonly runtime: InstalledRuntime;
    readonly step: CompileStep;
    readonly entry: string;
    readonly inputs: readonly GuestInput[];
  },
): Promise<GuestInput[] | Finished> {
  const { runtime, step, entry, inputs } = job;
  const files = inputs.map(({ path }) => path);
  const sources = { entry, files, folder: folderBeside(files) };
  const request = buildRequest({
    runtime,
    step,
    argv: step.argv(sources),
    inputs: [...inputs, ...helperInputs(step, sources)],
    folder: sources.folder,
    limits: DEFAULT_LIMITS,
    timeoutSec: 60,
    slot: 0,
  });
  const guest = await sandbox.start(request);
  try {
    const exit = await guest.exited;
    if (exit?.exitCode !== 0) return await finish(guest);
    const outputs = await outputsOf(guest);
    return outputs.map(({ path, bytes }) =>
      bytesInput(path, bytes, { isExecutable: step.makesProgram }),
    );
  } finally {
    await guest.destroy();
  }
}
