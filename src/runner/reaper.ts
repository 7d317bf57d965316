import type { FileStore } from "../files/file-store.ts";
import type { Service } from "../lifecycle.ts";
import { repeat } from "../lifecycle.ts";
import type { Store, SweepAnswer } from "../store/store.ts";

/** How many expired jobs one round removes, so that a round stays short. */
const EXPIRE_BATCH = 100;
const EXPIRE_INTERVAL_MS = 10_000;

export interface ReaperOptions {
  readonly sweepIntervalMs: number;
  /** Ended jobs are removed after this. */
  readonly retentionMs: number;
  /** true only for an owner that was a process of this machine and is gone, with all that it ran. */
  readonly isDead: (owner: string) => boolean;
  readonly onRecovered: (answer: SweepAnswer) => void;
  readonly onError: (error: unknown) => void;
}

/**
 * Brings jobs of dead workers back and removes expired ones. Any number of processes may run one: every step is the
 * store's, and idempotent.
 */
export function createReaper(store: Store, files: FileStore, options: ReaperOptions): Service {
  const stopping = new AbortController();
  const { signal } = stopping;
  let loops: Promise<unknown> = Promise.resolve();

  const sweep = async () => {
    for (const owner of await store.leaseOwners())
      if (options.isDead(owner)) report(await store.releaseOwner(owner));
    report(await store.sweep());
  };

  const report = (answer: SweepAnswer) => {
    if (answer.requeued.length + answer.lost.length + answer.cancelled.length > 0)
      options.onRecovered(answer);
  };

  const expire = async () => {
    const request = { olderThanMs: options.retentionMs, limit: EXPIRE_BATCH };
    for (let ids = await store.expired(request); ids.length > 0 && !signal.aborted;) {
      // Files first: a record without files is found again in the next round, files without a record are not.
      for (const id of ids) {
        await files.remove(id);
        await store.remove(id);
      }
      ids = ids.length < EXPIRE_BATCH ? [] : await store.expired(request);
    }
  };

  return {
    name: "reaper",
    async start() {
      const { onError, sweepIntervalMs } = options;
      loops = Promise.all([
        repeat(sweep, { intervalMs: sweepIntervalMs, signal, onError }),
        repeat(expire, { intervalMs: EXPIRE_INTERVAL_MS, signal, onError }),
      ]);
    },
    async stop() {
      stopping.abort();
      await loops;
    },
  };
}
