import { AppError } from "../../errors.ts";
import type { Store } from "../store.ts";
import { DEFAULT_TIMING, type StoreTiming } from "../timing.ts";
import { settleCallback, takeCallbacks } from "./callbacks.ts";
import { beat, claim, leaseOwners } from "./claim.ts";
import { DataConnection } from "./connection.ts";
import type { Context } from "./context.ts";
import { Doorbell } from "./doorbell.ts";
import { findSubmitted, submit, submitOnce } from "./enqueue.ts";
import { finish, release, requestCancel } from "./finish.ts";
import { keysOf } from "./keys.ts";
import { append, lastEntryId, readLog } from "./log.ts";
import { get, list, queuePosition } from "./query.ts";
import { keyUse } from "./quota.ts";
import { RestartGrace } from "./restart-grace.ts";
import { expired, remove } from "./retain.ts";
import { checkServer } from "./server-check.ts";
import { stats } from "./stats.ts";
import { callScript } from "./scripts.ts";
import { releaseOwner, sweep } from "./sweep.ts";
import { LogTail } from "./tail.ts";
import { announceWorker, workers } from "./workers.ts";

export interface RedisStoreOptions {
  /** `redis://` or `rediss://`, e.g. `redis://:password@host:6379/0`. */
  readonly url: string;
  /** Separates installations that share a server; must hold no brace, since it is the keys' hash tag. */
  readonly prefix: string;
  readonly timing?: StoreTiming;
  /** Takes a server that may evict keys, and with them jobs. */
  readonly allowEviction?: boolean;
}

/**
 * Connects to Redis (7.0 or newer), checks that jobs are safe there, and gives the store.
 * @throws AppError with a sentence for whoever starts the service: `store_unavailable` when the URL or the prefix is no
 * such thing, when the server does not answer within seconds, refuses access, is too old or may evict keys, or holds
 * data of another schema; `storage_full` when it takes no writes.
 */
export async function openRedisStore(options: RedisStoreOptions): Promise<Store> {
  const { url, prefix, timing = DEFAULT_TIMING, allowEviction = false } = options;
  if (!/^rediss?:\/\//u.test(url) || !URL.canParse(url))
    throw new AppError("store_unavailable", "The Redis URL must start with redis:// or rediss://");
  if (!/^[^{}]+$/u.test(prefix))
    throw new AppError(
      "store_unavailable",
      `The Redis prefix ${JSON.stringify(prefix)} must be a name without braces`,
    );
  const keys = keysOf(prefix);
  const data = new DataConnection(url);
  try {
    await checkServer(data, { metaKey: keys.meta, allowEviction });
  } catch (error) {
    data.close();
    throw error;
  }
  const doorbell = new Doorbell({ url, data, wakeKey: keys.wake });
  const tail = new LogTail({ url, data, keys });
  return storeOf({ data, keys, timing, grace: new RestartGrace(data, keys) }, doorbell, tail);
}

/**
 * With appendfsync everysec Redis puts its file on the disk once a second, and while that takes long keeps back up to two more
 * (redis/src/aof.c, flushAppendOnlyFile); and some for the clock.
 */
const UNSAFE_MS = 5_000;

/** The port's members, each in the file of its moment of a job's life. */
function storeOf(context: Context, doorbell: Doorbell, tail: LogTail): Store {
  return {
    kind: "redis",
    unsafeMs: UNSAFE_MS,
    submit: async (job, limits) => await submit(context, job, limits),
    submitOnce: async (request) => await submitOnce(context, request),
    findSubmitted: async (key) => await findSubmitted(context, key),
    keyUse: async (keyId) => await keyUse(context, keyId),
    get: async (id, onlyOf) => await get(context, id, onlyOf),
    list: async (request) => await list(context, request),
    queuePosition: async (id) => await queuePosition(context, id),
    requestCancel: async (id) => await requestCancel(context, id),
    claim: async (request) => await claim(context, request),
    waitForWork: async (timeoutMs, signal) => await doorbell.wait(timeoutMs, signal),
    append: async (request) => await append(context, request),
    beat: async (request) => await beat(context, request),
    finish: async (request) => await finish(context, request),
    release: async (lease) => await release(context, lease),
    sweep: async () => await sweep(context),
    releaseOwner: async (owner) => await releaseOwner(context, owner),
    leaseOwners: async () => await leaseOwners(context),
    readLog: async (request) => await readLog(context, request),
    lastEntryId: async (id) => await lastEntryId(context, id),
    waitForEntries: async (request, signal) => await tail.wait(request, signal),
    expired: async (request) => await expired(context, request),
    remove: async (id) => await remove(context, id),
    takeCallbacks: async (request) => await takeCallbacks(context, request),
    settleCallback: async (request) => await settleCallback(context, request),
    announceWorker: async (info) => await announceWorker(context, info),
    workers: async () => await workers(context),
    stats: async () => await stats(context),
    ping: async () => {
      await context.data.attempt(
        async (client) => await callScript(client, "ping", [context.keys.meta], []),
      );
    },
    close: async () => {
      doorbell.close();
      tail.close();
      context.data.close();
    },
  };
}
