import { afterAll, beforeAll } from "bun:test";

import { createCompiler } from "../../src/executor/compile.ts";
import { execute } from "../../src/executor/execute.ts";
import type { Compiler, Installer, LogSink } from "../../src/executor/executor.ts";
import { createInstaller } from "../../src/executor/install.ts";
import { MIB } from "../../src/jobs/limits.ts";
import type { StreamName } from "../../src/jobs/log-entry.ts";
import type { CompileBase, InstalledRuntime, InstallStep } from "../../src/runtimes/runtime.ts";
import type { GuestRequest, Sandbox } from "../../src/sandbox/sandbox.ts";
import { overridden } from "./overridden.ts";
import { openWorkshop, type PrepareOptions, type Workshop } from "./workshop.ts";

/*
 * A language whose compiler is a script among a job's own code files, so that each test says what the compiler does. It is
 * called with the folder for what it makes, and what it makes is to be called "program". Its installer is a script as well.
 */

/** Makes a program that runs the job's main.sh. */
export const MAKE = `printf '#!/bin/sh\\n. ./main.sh\\n' > "$1/program"\n`;

/** A line that makes a compiler unlike any other. */
export const unique = () => `: ${crypto.randomUUID()}\n`;

const TIMEOUT_SEC = 20;
const CACHE_BYTES = 64 * MIB;

interface RunOptions extends PrepareOptions {
  /** main.sh. */
  readonly program?: string;
  readonly base?: CompileBase;
  readonly compiler?: Compiler;
  readonly installer?: Installer;
  /** Absent: it is by now. */
  readonly claimed?: Promise<void>;
}

/** A way to run jobs of that language, each test file's own. */
export function useScriptedLanguage() {
  let workshop: Workshop;
  let sandbox: Sandbox;
  const requests: GuestRequest[] = [];
  beforeAll(async () => {
    workshop = await openWorkshop();
    sandbox = overridden(workshop.sandbox, {
      start: (request) => {
        requests.push(request);
        return workshop.sandbox.start(request);
      },
    });
  });
  afterAll(() => workshop.close());

  const compilerWith = ({ timeoutSec = TIMEOUT_SEC, cacheBytes = CACHE_BYTES } = {}) =>
    createCompiler({ sandbox, cache: workshop.cacheOf(cacheBytes), timeoutSec });

  const installerWith = ({ timeoutSec = TIMEOUT_SEC } = {}) =>
    createInstaller({
      sandbox,
      cache: workshop.cacheOf(CACHE_BYTES),
      timeoutSec,
      egress: workshop.egress,
    });

  /** Runs a job whose compiler is `script`. */
  async function run(script: string, options: RunOptions = {}) {
    const {
      claimed = Promise.resolve(),
      program = "echo ran",
      base,
      compiler = compilerWith(),
      ...others
    } = options;
    const { installer = installerWith(), ...prepared } = others;
    const code = { "compile.sh": script, ...prepared.code };
    await workshop.store.submit(await workshop.prepare(program, { ...prepared, code }));
    const job = await workshop.store.claim({ owner: "test", slot: 0, token: crypto.randomUUID() });
    if (job === null) throw new Error("Nothing to claim");
    const log = new Printed();
    const cancelled = new AbortController();
    const abandoned = new AbortController();
    let starts = 0;
    const executed = execute({
      job,
      slot: 0,
      runtime: scripted(workshop.shell, base),
      sandbox,
      egress: workshop.egress,
      installer,
      compiler,
      files: workshop.files,
      log,
      cancelled: cancelled.signal,
      abandoned: abandoned.signal,
      claimed,
      onStarted: () => starts++,
    });
    const outcome = executed.then(async ({ outcome: ended, takeDown }) => {
      await takeDown();
      return ended;
    });
    return { outcome, log, cancelled, abandoned, starts: () => starts };
  }

  return {
    /** What every guest was started with, in order. */
    requests,
    compilerWith,
    installerWith,
    run,
    /** Runs a job to its end. */
    async finished(script: string, options: RunOptions = {}) {
      const { outcome, log } = await run(script, options);
      return { outcome: await outcome, ...log.text };
    },
  };
}

const INSTALL: InstallStep = {
  manifests: ["install.sh", "lock"],
  argv: (manifests) => ["/bin/sh", "./install.sh", ...manifests],
  env: { INSTALLER: "1" },
  memoryLimit: "address_space",
  needs: { memoryBytes: 64 * MIB, processes: 16, diskBytes: 8 * MIB },
  mounts: [],
  folder: "packages",
  programEnv: (jobEnv) => ({ ...jobEnv, PACKAGES: `packages:${jobEnv["PACKAGES"]}` }),
};

function scripted(shell: InstalledRuntime, base: CompileBase | undefined): InstalledRuntime {
  return {
    ...shell,
    name: "scripted",
    argv: ({ made, args }) => [`./${made.find((path) => path.endsWith("/program"))}`, ...args],
    install: INSTALL,
    compile: {
      argv: ({ folder }) => ["/bin/sh", "./compile.sh", folder],
      env: { COMPILER: "1" },
      memoryLimit: "address_space",
      needs: { memoryBytes: 64 * MIB, processes: 16, diskBytes: 8 * MIB },
      helpers: { helper: "helping" },
      makesProgram: true,
      ...(base === undefined ? {} : { base }),
    },
  };
}

/** Keeps what is printed, and tells when some of it has come. */
class Printed implements LogSink {
  readonly text = { stdout: "", stderr: "", compiler: "", installer: "" };
  #waiting: { readonly part: string; readonly resolve: () => void }[] = [];

  async write(stream: StreamName, bytes: Uint8Array): Promise<void> {
    this.text[stream] += Buffer.from(bytes).toString();
    for (const { part, resolve } of this.#waiting) if (this.text[stream].includes(part)) resolve();
  }

  endStream(): void {}

  until(part: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ part, resolve });
    return promise;
  }
}
