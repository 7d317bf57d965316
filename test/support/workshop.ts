import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { Egress } from "../../src/egress/egress.ts";
import { createLocalEgress } from "../../src/egress/local-egress.ts";
import { createCompiler } from "../../src/executor/compile.ts";
import type { Compiler, Installer } from "../../src/executor/executor.ts";
import { createInstaller } from "../../src/executor/install.ts";
import type { BuildCache } from "../../src/files/build-cache.ts";
import type { FileStore } from "../../src/files/file-store.ts";
import { openLocalBuildCache } from "../../src/files/local-build-cache.ts";
import { openLocalFiles } from "../../src/files/local.ts";
import type { InputFile, NewJob, ResolvedSpec, RuntimeChoice } from "../../src/jobs/job.ts";
import { MIB } from "../../src/jobs/limits.ts";
import type { InstalledRuntime } from "../../src/runtimes/runtime.ts";
import { createBubblewrap } from "../../src/sandbox/bubblewrap.ts";
import type { Sandbox } from "../../src/sandbox/sandbox.ts";
import { openSqliteStore } from "../../src/store/sqlite/open.ts";
import type { Store } from "../../src/store/store.ts";

/** The real parts that run a job in one process, without HTTP: store, files, sandbox, and /bin/sh as the one runtime. */
export interface Workshop {
  readonly store: Store;
  readonly files: FileStore;
  readonly sandbox: Sandbox;
  readonly egress: Egress;
  /** One that keeps so much, in a folder that all of them share. */
  cacheOf(maxBytes: number): BuildCache;
  readonly compiler: Compiler;
  readonly installer: Installer;
  readonly shell: InstalledRuntime;
  /** Puts a shell script's files in place and gives the job that runs it. */
  prepare(script: string, options?: PrepareOptions): Promise<NewJob>;
  close(): Promise<void>;
}

export interface PrepareOptions {
  readonly spec?: Partial<ResolvedSpec>;
  /** Code files beside the script. */
  readonly code?: Readonly<Record<string, string>>;
  readonly inputs?: Readonly<Record<string, string>>;
  readonly runtime?: RuntimeChoice;
  readonly keyId?: string | null;
}

const SHELL: InstalledRuntime = {
  name: "sh",
  version: "1",
  aliases: [],
  extensions: [".sh"],
  binary: "/bin/sh",
  mounts: [],
  memoryLimit: "address_space",
  argv: ({ entry, args }) => ["/bin/sh", entry, ...args],
  env: (jobEnv) => jobEnv,
};

const SPEC: ResolvedSpec = {
  entry: "main.sh",
  args: [],
  timeoutMs: 20_000,
  runtime: "sh",
  netPolicy: "none",
  env: {},
  stdin: "",
  install: false,
  limits: {
    memoryBytes: 256 * MIB,
    cpuSec: 20,
    processes: 64,
    diskBytes: 16 * MIB,
    outputBytes: MIB,
  },
  priority: "normal",
  labels: {},
};

export async function openWorkshop(): Promise<Workshop> {
  const directory = await mkdtemp(join(tmpdir(), "job-runner-workshop-"));
  const runtimeDir = await mkdtemp(join(tmpdir(), "job-runner-guests-"));
  const files = await openLocalFiles(join(directory, "jobs"), { inlineBytes: 0, minFreeBytes: 0 });
  const store = await openSqliteStore({ path: join(directory, "jobs", "jobs.sqlite") });
  const sandbox = createBubblewrap({ uids: { first: 20_001, last: 20_100 }, runtimeDir });
  const cacheOf = (maxBytes: number) =>
    openLocalBuildCache(join(directory, "jobs", ".compiled"), { maxBytes, minFreeBytes: 0 });
  const egress = createLocalEgress({ directory: runtimeDir, extraAddresses: [] });
  const step = { sandbox, cache: cacheOf(64 * MIB), timeoutSec: 20 };
  return {
    store,
    files,
    sandbox,
    cacheOf,
    compiler: createCompiler(step),
    installer: createInstaller({ ...step, egress }),
    egress,
    shell: SHELL,
    async prepare(
      script,
      { spec = {}, code = {}, inputs = {}, runtime = SHELL, keyId = null } = {},
    ) {
      const id = crypto.randomUUID();
      const upload = await files.beginUpload(id);
      const added: InputFile[] = [];
      const all = { "main.sh": script, ...code, ...inputs };
      for (const [path, text] of Object.entries(all))
        added.push(
          await upload.add({
            path,
            role: path in inputs ? "input" : "code",
            bytes: new Blob([text]).stream(),
          }),
        );
      await upload.commit();
      await upload.confirm();
      return {
        id,
        keyId,
        spec: { ...SPEC, ...spec },
        files: added,
        runtime: { name: runtime.name, version: runtime.version },
        warnings: [],
      };
    },
    async close() {
      await store.close();
      await rm(directory, { recursive: true, force: true });
      await rm(runtimeDir, { recursive: true, force: true });
    },
  };
}
