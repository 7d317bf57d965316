import { join } from "node:path";

import { callbackView } from "./api/job-view.ts";
import { OpenStreams } from "./api/open-streams.ts";
import type { CallerPolicy } from "./api/guard.ts";
import type { ApiPorts, ServingPorts } from "./api/ports.ts";
import { createCallbacks } from "./callbacks/callbacks.ts";
import type { Storage, WorkerParts } from "./compose.ts";
import { checkExposure, type Config } from "./config.ts";
import { isReachable } from "./egress/addresses.ts";
import { MIB } from "./jobs/limits.ts";
import { KEY_FILE } from "./keys/key-file.ts";
import { openKnownKeys } from "./keys/known-keys.ts";
import { createUrlSigner, readOrMakeSecret, SECRET_FILE } from "./keys/signed-url.ts";
import { orNull, type Service } from "./lifecycle.ts";
import type { Logger } from "./logger.ts";
import { createLogHub } from "./logs/hub.ts";
import { countAnswer } from "./metrics/answers.ts";
import { scrape } from "./metrics/scrape.ts";
import { createFailureReport } from "./runner/failures.ts";
import { createRuntimeRegistry } from "./runtimes/registry.ts";
import { runtimeInfo } from "./runtimes/runtime.ts";
import type { Store, StoreStats, WorkerRuntime } from "./store/store.ts";

/*
 * The other half of compose.ts: from what it has wired to what a process serves over HTTP.
 */

/** A store that has not told its numbers by then is left out of what is shown of it. */
const STATS_TIMEOUT_MS = 2_000;

/**
 * Who may call this process. Reads the keys, and the secret of signed URLs. Throws ConfigError where the process would listen
 * for everybody and nobody has said that it should, KeyFileError where a file of them cannot be used, and what the file
 * system throws.
 */
export async function openCallers(config: Config, log: Logger): Promise<CallerPolicy> {
  const { jobDataDir, apiKeys, allowedHosts, corsOrigins } = config;
  const keys = await openKnownKeys(join(jobDataDir, KEY_FILE), log);
  checkExposure(config, (await keys()).areNeeded);
  const secret = config.signingSecret ?? (await readOrMakeSecret(join(jobDataDir, SECRET_FILE)));
  const signer = createUrlSigner(secret);
  return { apiKeys, keys, allowedHosts, corsOrigins, signer };
}

/** What this process is, for what it serves. */
interface ServingContext {
  readonly callers: CallerPolicy;
  /** null where jobs run in other processes. */
  readonly worker: WorkerParts | null;
  readonly reasonsNotReady: () => readonly string[];
  readonly log: Logger;
}

/** What a worker process serves is built from. */
export function composeProbePorts(storage: Storage, context: ServingContext): ServingPorts {
  return servingPorts(storage, { ...context, sseClients: () => null });
}

/** What the API is built from. */
export function composeApiPorts(
  config: Config,
  storage: Storage,
  context: ServingContext & { readonly draining: AbortSignal; readonly closing: AbortSignal },
): ApiPorts {
  const { store, files } = storage;
  const { worker, draining, closing } = context;
  const strict = config.strictRuntime;
  const streams = new OpenStreams(config.maxStreams, closing);
  return {
    ...servingPorts(storage, { ...context, sseClients: () => streams.count }),
    store,
    logs: createLogHub(store),
    files,
    runtimes: async () =>
      createRuntimeRegistry<WorkerRuntime>(
        worker?.runtimes().map(runtimeInfo) ?? (await announced(store)),
        { strict },
      ),
    languages: config.languages,
    sandbox: () => worker?.sandbox() ?? null,
    storeStats: () => storeStats(store),
    slots: () => worker?.slots() ?? null,
    streams,
    specs: {
      bounds: config.bounds,
      netPolicies: config.netPolicies,
      callbacks:
        config.callbackSecret === undefined
          ? null
          : { isReachable: (address) => isReachable(address, config.callbackExtraAddresses) },
    },
    maxQueued: config.maxQueued === 0 ? null : config.maxQueued,
    upload: { maxBytes: config.maxUploadMb * MIB, maxFiles: config.maxFiles },
    heartbeatMs: config.heartbeatSec * 1000,
    draining,
  };
}

/** Wires what tells clients of their jobs' ends; nothing where nobody is told. Nothing is started. */
export function composeCallbacks(
  { callbackSecret, callbackExtraAddresses }: Config,
  { store, metrics }: Storage,
  log: Logger,
): readonly Service[] {
  if (callbackSecret === undefined) return [];
  const onError = createFailureReport(log);
  const callbacks = createCallbacks(store, {
    secret: callbackSecret,
    extraAddresses: callbackExtraAddresses,
    view: callbackView,
    onResult: (result) => metrics.callbacks.inc({ result }),
    onError: (error) => onError("callbacks", error),
    log,
  });
  return [callbacks];
}

function servingPorts(
  { store, metrics }: Storage,
  context: ServingContext & { readonly sseClients: () => number | null },
): ServingPorts {
  const { worker, sseClients, log } = context;
  return {
    callers: context.callers,
    reasonsNotReady: context.reasonsNotReady,
    metrics: () =>
      scrape({
        registry: metrics.registry,
        storeStats: () => storeStats(store),
        slots: () => worker?.slots() ?? null,
        sseClients,
      }),
    onAnswer: (answered) => countAnswer(metrics, answered),
    log,
  };
}

function storeStats(store: Store): Promise<StoreStats | null> {
  return orNull(store.stats(), STATS_TIMEOUT_MS);
}

/** What the workers of this store have said that they can run. */
async function announced(store: Store): Promise<readonly WorkerRuntime[]> {
  const byName = new Map<string, WorkerRuntime>();
  for (const worker of await store.workers())
    for (const runtime of worker.runtimes) byName.set(runtime.name, runtime);
  return [...byName.values()];
}
