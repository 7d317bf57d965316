import type { FileStore } from "../files/file-store.ts";
import type { Service } from "../lifecycle.ts";
import { repeat } from "../lifecycle.ts";
import type { Store, SweepAnswer } from "../store/store.ts";

/** How many expired jobs one round removes, so that a round stays short. */
const EXPIRE_BATCH = 100;
/** How many orphaned folders one round removes: the wrong store, which knows none of the jobs, must not cost all at once. */
const ORPHANS_BATCH = 100;
const EXPIRE_INTERVAL_MS = 10_000;
const UPLOADS_INTERVAL_MS = 10 * 60_000;

export interface ReaperOptions {
  readonly sweepIntervalMs: number;
  /** Ended jobs are removed after this. */
  readonly retentionMs: number;
  /** Uploads that were neither confirmed nor discarded are removed after this; folders without a job so long after the retention. */
  readonly abandonedUploadMs: number;
  /** true only for an owner that was a process of this machine and is gone, with all that it ran. */
  readonly isDead: (owner: string) => boolean;
  readonly onRecovered: (answer: SweepAnswer) => void;
  /** Told of each round, also of one that found none. */
  readonly onFoldersRemoved: (count: number) => void;
  readonly onError: (error: unknown) => void;
}

/**
 * Brings jobs of dead workers back, and removes expired ones and files that no job needs. Any number of processes may
 * run one: every step is the store's, and idempotent.
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
    for (;;) {
      const ids = await store.expired(request);
      let removed = 0;
      for (const id of ids) if (await removeJob(id)) removed++;
      // A folder that resists is tried again in the next round, and does not keep the others.
      if (signal.aborted || removed === 0 || ids.length < EXPIRE_BATCH) return;
    }
  };

  const removeJob = async (id: string): Promise<boolean> => {
    try {
      // Files first: a record without files is found again in the next round, files without a record long after.
      await files.remove(id);
      return await store.remove(id);
    } catch (error) {
      options.onError(error);
      return false;
    }
  };

  const isStored = async (jobId: string) => (await store.get(jobId)) !== null;
  const removeAbandonedUploads = async () => {
    await files.removeAbandonedUploads({ olderThanMs: options.abandonedUploadMs, isStored });
  };

  const removeOrphanedJobs = async () => {
    // Older than most jobs that are still there: the wrong store knows none of them.
    const olderThanMs = options.retentionMs + options.abandonedUploadMs;
    const request = { olderThanMs, limit: ORPHANS_BATCH, isStored, signal };
    options.onFoldersRemoved(await files.removeOrphanedJobs(request));
  };

  return {
    name: "reaper",
    async start() {
      const { onError, sweepIntervalMs } = options;
      loops = Promise.all([
        repeat(sweep, { intervalMs: sweepIntervalMs, signal, onError }),
        repeat(expire, { intervalMs: EXPIRE_INTERVAL_MS, signal, onError }),
        repeat(removeAbandonedUploads, { intervalMs: UPLOADS_INTERVAL_MS, signal, onError }),
        repeat(removeOrphanedJobs, { intervalMs: UPLOADS_INTERVAL_MS, signal, onError }),
      ]);
    },
    async stop() {
      stopping.abort();
      await loops;
    },
  };
}
