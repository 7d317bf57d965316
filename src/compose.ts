import { homedir } from "node:os";
import { join } from "node:path";

import { composeSteps } from "./compose-steps.ts";
import type { Config } from "./config.ts";
import { createLocalEgress } from "./egress/local-egress.ts";
import { type AppError, messageOf } from "./errors.ts";
import type { FileStore } from "./files/file-store.ts";
import { openLocalFiles } from "./files/local.ts";
import { createPulse, type Pulse } from "./health/pulse.ts";
import { reasonsNotReady } from "./health/readiness.ts";
import { createStoreWatch } from "./health/store-watch.ts";
import { MIB } from "./jobs/limits.ts";
import type { Service } from "./lifecycle.ts";
import type { Logger } from "./logger.ts";
import { createMetrics, type Metrics } from "./metrics/metrics.ts";
import { addPoolMetrics, withSandboxMetrics } from "./metrics/sandbox-metrics.ts";
import { countFence, withStoreMetrics } from "./metrics/store-metrics.ts";
import { withFaultPoints } from "./platform/fault-points.ts";
import { isDeadNeighbour, processIdentity } from "./platform/process-identity.ts";
import { makeRuntimeDirectory, removeRuntimeDirectory } from "./platform/runtime-directory.ts";
import { createExecution, type OpenSandbox } from "./runner/execution.ts";
import { createFailureReport } from "./runner/failures.ts";
import { createLeaseKeeper } from "./runner/lease.ts";
import { createReaper } from "./runner/reaper.ts";
import { createFoldersReport, createRecoveryReport } from "./runner/recoveries.ts";
import { createRunner } from "./runner/runner.ts";
import { discoverRuntimes } from "./runtimes/discover.ts";
import { createRuntimeRegistry } from "./runtimes/registry.ts";
import type { InstalledRuntime } from "./runtimes/runtime.ts";
import { createBubblewrap } from "./sandbox/bubblewrap.ts";
import { findCgroups, readCgroupView } from "./sandbox/cgroup/find-cgroups.ts";
import { createGuestCgroups, sweepCgroups } from "./sandbox/cgroup/guest-cgroups.ts";
import { createUnsandboxed } from "./sandbox/none.ts";
import type { PreparableSandbox, SandboxStatus } from "./sandbox/sandbox.ts";
import { createWarmPool, type WarmPool } from "./sandbox/warm-pool.ts";
import { openRedisStore } from "./store/redis/open.ts";
import { openSqliteStore } from "./store/sqlite/open.ts";
import type { Store } from "./store/store.ts";
import { timingOf, type StoreTiming } from "./store/timing.ts";
import { watchStore } from "./store/watched-store.ts";

/*
 * The only file that names concrete drivers: configuration in, ports out.
 */

/**
 * Of a job's files, in its record: most programs are smaller. Each reading of the record reads them too, and Redis holds them
 * in memory until the job is removed.
 */
const INLINE_BYTES = 16 * 1024;
/** An upload that nobody wrote to for this long was abandoned, on a volume that several processes share. */
const ABANDONED_UPLOAD_MS = 60 * 60 * 1000;

export interface Storage {
  /** Counts in `metrics` what it is asked and what it answers. */
  readonly store: Store;
  readonly files: FileStore;
  readonly timing: StoreTiming;
  readonly metrics: Metrics;
}

/**
 * Opens the store and the job folders. Throws AppError `store_unavailable` with a sentence for the operator. `onFatal` is
 * called if the store breaks for good afterwards: then only a new process helps.
 */
export async function openStorage(
  config: Config,
  log: Logger,
  onFatal: (error: AppError) => void,
): Promise<Storage> {
  const files = await openLocalFiles(config.jobDataDir, {
    inlineBytes: INLINE_BYTES,
    minFreeBytes: config.minFreeDiskMb * MIB,
  });
  const timing = timingOf(config.leaseMs);
  const metrics = createMetrics();
  const driver = await openStore(config, timing, onFatal);
  // The points at which a process is to die are outermost: they stand between a call and its caller.
  const store = withFaultPoints(
    withStoreMetrics(watched(driver, log), metrics),
    "store",
    config.faultPoints,
  );
  // The embedded store belongs to this process alone, so what is not committed in it now never will be.
  await removeAbandonedUploads(files, store, store.kind === "sqlite" ? 0 : ABANDONED_UPLOAD_MS);
  return { store, files: withFaultPoints(files, "files", config.faultPoints), timing, metrics };
}

async function openStore(
  config: Config,
  timing: StoreTiming,
  onFatal: (error: AppError) => void,
): Promise<Store> {
  if (config.redisUrl === undefined)
    return await openSqliteStore({ path: join(config.jobDataDir, "jobs.sqlite"), onFatal });
  return await openRedisStore({
    url: config.redisUrl,
    prefix: config.redisPrefix,
    allowEviction: config.redisAllowEviction,
    timing,
  });
}

function watched(store: Store, log: Logger): Store {
  return watchStore(store, {
    onAway: (error) =>
      log.error("store_away", `The job store does not answer: ${error.message}`, { error }),
    onBack: (awayMs) =>
      log.info("store_back", "The job store answers again.", { duration_ms: Math.round(awayMs) }),
  });
}

async function removeAbandonedUploads(
  files: FileStore,
  store: Store,
  olderThanMs: number,
): Promise<void> {
  const isStored = async (jobId: string) => (await store.get(jobId)) !== null;
  await files.removeAbandonedUploads({ olderThanMs, isStored });
}

/** The worker of this process: its services, and what the API next to it wants to know. */
export interface WorkerParts {
  readonly services: readonly Service[];
  readonly sandbox: () => SandboxStatus;
  readonly runtimes: () => readonly InstalledRuntime[];
  /** Late when the loop that claims jobs is stuck. */
  readonly claiming: Pulse;
  /** Jobs that it can run at once, and those that it runs. */
  readonly slots: () => { readonly total: number; readonly busy: number };
}

/** Wires a worker: leases, reaper, and the execution of jobs in the configured sandbox. Nothing is started. */
export function composeWorker(config: Config, storage: Storage, parentLog: Logger): WorkerParts {
  const { store, files, timing, metrics } = storage;
  const owner = processIdentity();
  const log = parentLog.child({ worker: owner });
  const onError = createFailureReport(log);
  const pulse = createPulse();
  const leases = createLeaseKeeper(store, {
    owner,
    leaseMs: timing.leaseMs,
    outageMs: config.outageSec * 1000,
    onCutOff: (claim) => countFence(metrics, claim),
    onError: (error) => onError("lease keeper", error),
  });
  const reaper = composeReaper(config, storage, log);
  const parts = { store, files, leases, owner, log, onError, pulse };
  const execution = createExecution({
    driver: config.sandbox,
    log,
    openSandbox: () => openSandbox(config, { log, metrics }),
    createRunner: ({ sandbox: bare, egress }, installed, ready) => {
      const sandbox = withSandboxMetrics(bare, metrics);
      // The start of an installer or a compiler is not the start of its job's program.
      const steps = composeSteps(config, { sandbox: bare, egress }, metrics);
      const runtimes = createRuntimeRegistry(installed, { strict: config.strictRuntime });
      return createRunner(
        { ...parts, ...steps, sandbox, egress, runtimes, ready },
        { slots: config.workerConcurrency, drainMs: config.drainSec * 1000 },
      );
    },
  });
  return {
    // Stopped in the opposite order: the leases of draining jobs are kept to the end.
    services: [leases, reaper, execution],
    sandbox: () => execution.status(),
    runtimes: () => execution.runtimes(),
    claiming: pulse,
    slots: () => ({ total: config.workerConcurrency, busy: metrics.runs.count }),
  };
}

/** Wires what brings jobs of dead workers back and removes expired ones. Nothing is started. */
export function composeReaper(
  config: Config,
  { store, files, timing }: Storage,
  log: Logger,
): Service {
  const onError = createFailureReport(log);
  return createReaper(store, files, {
    sweepIntervalMs: timing.sweepIntervalMs,
    retentionMs: config.retentionSec * 1000,
    abandonedUploadMs: ABANDONED_UPLOAD_MS,
    isDead: isDeadNeighbour,
    onRecovered: createRecoveryReport(log),
    onFoldersRemoved: createFoldersReport(log),
    onError: (error) => onError("reaper", error),
  });
}

/**
 * The configured sandbox with a directory of its own on the host, and where there is somebody to run jobs with a pool of
 * sandboxes that wait for them. Throws what the file system throws.
 */
export async function openSandbox(
  config: Config,
  worker: { readonly log: Logger; readonly metrics: Metrics } | null,
): Promise<OpenSandbox> {
  // Not below the data directory: the uids that guests run as could not reach it there.
  const runtimeDir = await makeRuntimeDirectory();
  const sandbox = await createSandbox(config, runtimeDir);
  const pool =
    worker === null || config.warmPoolMb === 0 ? null : composePool(config, sandbox, worker);
  return {
    sandbox: withFaultPoints(pool ?? sandbox, "sandbox", config.faultPoints),
    egress: createLocalEgress({
      directory: runtimeDir,
      extraAddresses: config.netExtraAddresses,
    }),
    findRuntimes: () =>
      discoverRuntimes({
        languages: config.languages,
        sandbox,
        runtimeDir,
        searchPath: config.searchPath,
        homeDirectory: homedir(),
        mayInstall: config.netPolicies.some((kind) => kind !== "none"),
      }),
    async close() {
      await pool?.close();
      await removeRuntimeDirectory(runtimeDir);
    },
  };
}

/**
 * Sandboxes that may wait for each slot, whatever memory they are allowed: room for a few languages and names of programs,
 * with as many processes as a machine with so many slots has anyway.
 */
const WAITING_PER_SLOT = 8;

function composePool(
  config: Config,
  sandbox: PreparableSandbox,
  { log, metrics }: { readonly log: Logger; readonly metrics: Metrics },
): WarmPool {
  const { sandboxUids: uids, workerConcurrency: slots } = config;
  // Each guest has a uid of its own, and no job shall find that all are taken by those that wait.
  const sparedUids =
    uids === undefined ? Number.POSITIVE_INFINITY : uids.last - uids.first + 1 - slots;
  const pool = createWarmPool(sandbox, {
    maxBytes: config.warmPoolMb * MIB,
    maxWaiting: Math.min(WAITING_PER_SLOT * slots, sparedUids),
    slots,
    onStart: (on) => metrics.sandboxStarts.inc({ on }),
    onError: (error) =>
      log.warn("warm_pool", `A sandbox that was started ahead failed: ${messageOf(error)}`),
  });
  addPoolMetrics(metrics.registry, () => pool.waiting());
  return pool;
}

async function createSandbox(config: Config, runtimeDir: string): Promise<PreparableSandbox> {
  if (config.sandbox === "none") return createUnsandboxed({ runtimeDir });
  const { hierarchy, problem } = findCgroups(readCgroupView());
  if (hierarchy !== null) await sweepCgroups(hierarchy);
  return createBubblewrap({
    uids: config.sandboxUids,
    runtimeDir,
    cpuPercent: config.jobCpuPercent,
    required: config.sandboxRequire,
    ...(hierarchy === null
      ? { cgroupProblem: problem }
      : { cgroups: createGuestCgroups(hierarchy) }),
  });
}

/** What says whether a process does its work; the service is what finds it out. */
export interface Readiness {
  readonly service: Service;
  readonly reasonsNotReady: () => readonly string[];
}

/** Wires what /readyz answers. Nothing is started. */
export function composeReadiness(
  { store }: Storage,
  context: { readonly worker: WorkerParts | null; readonly draining: AbortSignal },
): Readiness {
  const watch = createStoreWatch(store);
  return {
    service: watch,
    reasonsNotReady: () => reasonsNotReady({ ...context, store: watch }),
  };
}
