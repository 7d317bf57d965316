import { isCallbackDue, settleCallback, takeCallbacks } from "./callbacks.ts";
import { beat, claim } from "./claim.ts";
import { findSubmitted, submit, submitOnce } from "./enqueue.ts";
import { finish, requestCancel } from "./finish.ts";
import { release, releaseOwner } from "./handback.ts";
import { append, lastEntryId, readLog } from "./log.ts";
import { pingReader, pingWriter } from "./ping.ts";
import { announceWorker, workers } from "./presence.ts";
import { getRecord, leaseOwners, list, queuePosition } from "./query.ts";
import { keyUse } from "./quota.ts";
import { expired, purge, remove } from "./retain.ts";
import { stats } from "./stats.ts";

/** What the writing thread does, each inside a transaction. */
export const WRITES = {
  announceWorker,
  append,
  claim,
  finish,
  ping: pingWriter,
  purge,
  release,
  releaseOwner,
  remove,
  requestCancel,
  settleCallback,
  submit,
  submitOnce,
  takeCallbacks,
};

/** What the reading thread does, each seeing every commit made before it. */
export const READS = {
  beat,
  expired,
  findSubmitted,
  getRecord,
  isCallbackDue,
  keyUse,
  lastEntryId,
  leaseOwners,
  list,
  ping: pingReader,
  queuePosition,
  readLog,
  stats,
  workers,
};

export type Writes = typeof WRITES;
export type Reads = typeof READS;
