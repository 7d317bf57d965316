import { afterAll, beforeAll } from "bun:test";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { discoverRuntimes } from "../../src/runtimes/discover.ts";
import type { InstalledRuntime } from "../../src/runtimes/runtime.ts";
import { createBubblewrap } from "../../src/sandbox/bubblewrap.ts";
import type { Sandbox } from "../../src/sandbox/sandbox.ts";
import { DEFAULT_LIMITS, runGuest, textInput, type Finished } from "./guests.ts";

export interface Job {
  readonly runtime: string;
  readonly entry: string;
  readonly files: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** The runtimes of this machine, found once per test file, and a way to run a job on one of them as a worker would. */
export function useRuntimes() {
  const runtimeDir = mkdtempSync(join(tmpdir(), "job-runner-runtimes-"));
  chmodSync(runtimeDir, 0o755);
  const sandbox: Sandbox = createBubblewrap({ uids: { first: 30_001, last: 30_100 }, runtimeDir });
  let found: readonly InstalledRuntime[] = [];
  const discover = (searchPath = `${dirname(process.execPath)}:/usr/bin:/bin`) =>
    discoverRuntimes({ sandbox, searchPath, homeDirectory: homedir(), runtimeDir });
  beforeAll(async () => {
    found = await discover();
  });
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
    run({ runtime: name, entry, files, args = [], env = {} }: Job): Promise<Finished> {
      const runtime = named(name);
      return runGuest(sandbox, {
        argv: runtime.argv(entry, args),
        env: runtime.env(env),
        stdin: new Uint8Array(0),
        inputs: Object.entries(files).map(([path, text]) => textInput(path, text)),
        mounts: runtime.mounts,
        limits: DEFAULT_LIMITS,
        memoryLimit: runtime.memoryLimit,
        memoryReserveBytes: runtime.memoryReserveBytes ?? 0,
        slot: 0,
      });
    },
  };
}
