import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

import type { ApiPorts } from "./api/ports.ts";
import type { Config } from "./config.ts";
import { messageOf } from "./errors.ts";
import type { FileStore } from "./files/file-store.ts";
import { openLocalFiles } from "./files/local.ts";
import { MIB } from "./jobs/limits.ts";
import { pause, type Service } from "./lifecycle.ts";
import { isDeadNeighbour, processIdentity } from "./platform/process-identity.ts";
import { createLeaseKeeper } from "./runner/lease.ts";
import { createReaper } from "./runner/reaper.ts";
import { createRunner } from "./runner/runner.ts";
import { discoverRuntimes } from "./runtimes/discover.ts";
import { createRuntimeRegistry, type RuntimeRegistry } from "./runtimes/registry.ts";
import type { InstalledRuntime } from "./runtimes/runtime.ts";
import { createBubblewrap } from "./sandbox/bubblewrap.ts";
import { createUnsandboxed } from "./sandbox/none.ts";
import type { Sandbox, SandboxStatus } from "./sandbox/sandbox.ts";
import { openRedisStore } from "./store/redis/open.ts";
import { openSqliteStore } from "./store/sqlite/sqlite-store.ts";
import { DEFAULT_TIMING, type Store, type StoreTiming, type WorkerRuntime } from "./store/store.ts";

/*
 * The only file that names concrete drivers: configuration in, ports out.
 */

/** A sandbox that failed its self-test is tried again this often: the operator may have mended it. */
const SELF_TEST_RETRY_MS = 30_000;
/** An upload that nobody wrote to for this long was abandoned, on a volume that several processes share. */
const ABANDONED_UPLOAD_MS = 60 * 60 * 1000;

/** Takes one line about what the service does or what went wrong. */
export type Report = (message: string) => void;

export interface Storage {
  readonly store: Store;
  readonly files: FileStore;
  readonly timing: StoreTiming;
}

/** Opens the store and the job folders. Throws AppError `store_unavailable` with a sentence for the operator. */
export async function openStorage(config: Config): Promise<Storage> {
  await mkdir(config.jobDataDir, { recursive: true, mode: 0o700 });
  const files = await openLocalFiles(config.jobDataDir);
  const timing = { ...DEFAULT_TIMING, leaseMs: config.leaseMs };
  if (config.redisUrl === undefined) {
    const store = await openSqliteStore({ path: join(config.jobDataDir, "jobs.sqlite") });
    // The store belongs to this process alone, so whatever is not committed now never will be.
    await files.removeAbandonedUploads(0);
    return { store, files, timing };
  }
  const store = await openRedisStore({
    url: config.redisUrl,
    prefix: config.redisPrefix,
    allowEviction: config.redisAllowEviction,
    timing,
  });
  await files.removeAbandonedUploads(ABANDONED_UPLOAD_MS);
  return { store, files, timing };
}

/** The worker of this process: its services, and what the API next to it wants to know. */
export interface WorkerParts {
  readonly services: readonly Service[];
  readonly sandbox: () => SandboxStatus;
  readonly runtimes: () => RuntimeRegistry<InstalledRuntime>;
}

const UNTESTED: SandboxStatus = {
  driver: "bwrap",
  ready: false,
  problems: ["The sandbox has not been tested yet."],
};

export function composeWorker(config: Config, storage: Storage, report: Report): WorkerParts {
  const owner = processIdentity();
  const onError = (error: unknown) => report(messageOf(error));
  const leases = createLeaseKeeper(storage.store, {
    owner,
    leaseMs: storage.timing.leaseMs,
    onError,
  });
  const reaper = createReaper(storage.store, storage.files, {
    sweepIntervalMs: storage.timing.sweepIntervalMs,
    retentionMs: config.retentionSec * 1000,
    isDead: isDeadNeighbour,
    onRecovered: (answer) => report(`Recovered jobs of dead workers: ${JSON.stringify(answer)}`),
    onError,
  });
  let status = UNTESTED;
  let registry = createRuntimeRegistry<InstalledRuntime>([], { strict: config.strictRuntime });
  const execution = createExecution(config, {
    report,
    setStatus: (tested) => (status = tested),
    startRunner: (sandbox, installed) => {
      registry = createRuntimeRegistry(installed, { strict: config.strictRuntime });
      return createRunner(
        { ...storage, sandbox, runtimes: registry, leases, owner, onError },
        { slots: config.workerConcurrency, drainMs: config.drainSec * 1000 },
      );
    },
  });
  return {
    // Stopped in the opposite order: the leases of draining jobs are kept to the end.
    services: [leases, reaper, execution],
    sandbox: () => status,
    runtimes: () => registry,
  };
}

/** Gets the sandbox ready, then finds the runtimes in it, then runs jobs; again and again until the sandbox is ready. */
function createExecution(
  config: Config,
  hooks: {
    readonly report: Report;
    readonly setStatus: (status: SandboxStatus) => void;
    readonly startRunner: (sandbox: Sandbox, installed: readonly InstalledRuntime[]) => Service;
  },
): Service {
  const stopping = new AbortController();
  let runtimeDir: string | undefined;
  let runner: Service | undefined;
  let retries: Promise<void> = Promise.resolve();

  const tryStart = async (sandbox: Sandbox, directory: string): Promise<boolean> => {
    const status = await sandbox.selfTest();
    if (!status.ready) {
      hooks.setStatus(status);
      hooks.report(`No job can run: ${status.problems.join(" ")}`);
      return false;
    }
    const installed = await discoverRuntimes({
      sandbox,
      runtimeDir: directory,
      searchPath: config.searchPath,
      homeDirectory: homedir(),
    });
    runner = hooks.startRunner(sandbox, installed);
    await runner.start();
    hooks.setStatus(status);
    hooks.report(`Runtimes: ${installed.map(({ name }) => name).join(", ") || "none found"}`);
    return true;
  };

  return {
    name: "execution",
    async start() {
      // Not below the data directory: the uids that guests run as could not reach it there.
      const directory = await mkdtemp(join(tmpdir(), "job-runner-"));
      runtimeDir = directory;
      const sandbox =
        config.sandbox === "none"
          ? createUnsandboxed({ runtimeDir: directory })
          : createBubblewrap({ uidBase: config.sandboxUidBase, runtimeDir: directory });
      if (await tryStart(sandbox, directory)) return;
      retries = (async () => {
        do await pause(SELF_TEST_RETRY_MS, stopping.signal);
        while (!stopping.signal.aborted && !(await tryStart(sandbox, directory)));
      })();
    },
    async stop() {
      stopping.abort();
      await retries;
      await runner?.stop();
      if (runtimeDir !== undefined) await rm(runtimeDir, { recursive: true, force: true });
    },
  };
}

/** What the API is built from; `worker` is null where jobs run in other processes. */
export function composeApiPorts(
  config: Config,
  { store, files }: Storage,
  context: {
    readonly worker: WorkerParts | null;
    readonly draining: AbortSignal;
    readonly report: Report;
  },
): ApiPorts {
  const { worker, draining, report } = context;
  return {
    store,
    files,
    runtimes: async () => worker?.runtimes() ?? (await announcedRuntimes(store, config)),
    sandbox: () => worker?.sandbox() ?? null,
    bounds: config.bounds,
    upload: { maxBytes: config.maxUploadMb * MIB, maxFiles: config.maxFiles },
    callers: config,
    heartbeatMs: config.heartbeatSec * 1000,
    draining,
    onError: (error, requestId) => report(`Request ${requestId} failed: ${describe(error)}`),
  };
}

async function announcedRuntimes(
  store: Store,
  config: Config,
): Promise<RuntimeRegistry<WorkerRuntime>> {
  const byName = new Map<string, WorkerRuntime>();
  for (const worker of await store.workers())
    for (const runtime of worker.runtimes) byName.set(runtime.name, runtime);
  return createRuntimeRegistry([...byName.values()], { strict: config.strictRuntime });
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
