import type { StoreStats } from "../store.ts";
import { WORKER_PRESENT_MS } from "../timing.ts";
import type { Context } from "./context.ts";

/** Bounds the time that one call may keep the server from everyone else. */
const STALE_IDS_PER_QUEUE = 20;

/** Store.stats */
export async function stats({ data, keys }: Context): Promise<StoreStats> {
  const answer = await data.script(
    "stats",
    [...keys.queues, keys.running, keys.workers, keys.workersSeen],
    [keys.jobPrefix, STALE_IDS_PER_QUEUE, WORKER_PRESENT_MS],
  );
  const [high = 0, normal = 0, low = 0, running = 0, workers = 0, slots = 0, oldestMs = -1] =
    answer as readonly number[];
  return {
    queued: { high, normal, low },
    oldestQueuedAgeMs: oldestMs < 0 ? null : oldestMs,
    running,
    workers: { count: workers, slots },
  };
}
