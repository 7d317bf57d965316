import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

import { LANGUAGE_NAMES } from "../src/jobs/languages.ts";
import { discoverRuntimes } from "../src/runtimes/discover.ts";
import { createRuntimeRegistry, type RuntimeRegistry } from "../src/runtimes/registry.ts";
import type { InstalledRuntime } from "../src/runtimes/runtime.ts";
import { createBubblewrap } from "../src/sandbox/bubblewrap.ts";
import { createGuestRoot, type GuestRoot } from "../src/sandbox/guest-root.ts";
import { BENCH_UID, IS_ROOT } from "./bare.ts";
import type { Row } from "./table.ts";

/** What every group of lines needs. */
export interface Bench {
  /** A few rounds of everything: whether it works, not how fast it is. */
  readonly isQuick: boolean;
  /**
   * The interpreters of this machine as the service finds them: the bare ones are to be the very binaries that jobs get, and
   * not a version manager's shim on PATH, which takes several times as long.
   */
  readonly runtimes: RuntimeRegistry<InstalledRuntime>;
  /** What guests see of the host. */
  readonly root: GuestRoot;
  /** Writes files into a fresh folder, which are the bare programs' own; its path. */
  folderOf(files: Files): string;
  /** Tells whoever waits what is being measured. */
  say(text: string): void;
  /** Removes what it has written. */
  close(): void;
}

/** Contents by name. */
export type Files = Readonly<Record<string, string | Uint8Array>>;

/** Measures some lines of the table. Throws when something that is measured does not do what it should. */
export type Group = (bench: Bench) => Promise<readonly Row[]>;

export async function openBench(isQuick: boolean): Promise<Bench> {
  const directory = mkdtempSync(join(tmpdir(), "job-runner-bench-"));
  const root = createGuestRoot(directory);
  const sandbox = createBubblewrap({
    uids: { first: BENCH_UID, last: BENCH_UID + 99 },
    runtimeDir: directory,
  });
  const runtimes = await discoverRuntimes({
    languages: LANGUAGE_NAMES,
    sandbox,
    searchPath: process.env["PATH"] ?? "",
    homeDirectory: homedir(),
    runtimeDir: directory,
    mayInstall: false,
  });
  let folders = 0;
  return {
    isQuick,
    runtimes: createRuntimeRegistry(runtimes, { strict: false }),
    root,
    folderOf(files) {
      folders += 1;
      const folder = join(directory, `files-${folders}`);
      mkdirSync(folder, { mode: 0o755 });
      for (const [name, content] of Object.entries(files)) {
        writeFileSync(join(folder, name), content, { mode: 0o644 });
        if (IS_ROOT) chownSync(join(folder, name), BENCH_UID, BENCH_UID);
      }
      return folder;
    },
    say: (text) => console.error(text),
    close: () => rmSync(directory, { recursive: true, force: true }),
  };
}
