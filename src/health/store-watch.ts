import { AppError } from "../errors.ts";
import { repeat, type Service } from "../lifecycle.ts";
import type { Store } from "../store/store.ts";
import { createPulse } from "./pulse.ts";

const PROBE_INTERVAL_MS = 1_000;
/** More than the pause between two probes and what one takes of a store that works; less than the 3 s that /readyz may take. */
const SILENT_AFTER_MS = 2_500;

/** Finds out by trying whether a store still makes progress, whatever its connections say. */
export interface StoreWatch extends Service {
  /** `silent`: no probe was answered for a while. `full`: the last answer was that there is no room for new jobs. */
  problem(): "silent" | "full" | null;
}

/**
 * Asks the store every second whether it can write (Store.ping). A store that was stopped, cut off or that hangs is seen
 * by the answer that does not come: most of the ways in which it can go away leave its connections as they are.
 */
export function createStoreWatch(store: Store): StoreWatch {
  const stopping = new AbortController();
  const pulse = createPulse();
  let isFull = false;

  const answered = (full: boolean) => {
    isFull = full;
    pulse.beat(SILENT_AFTER_MS);
  };
  const probe = async () => {
    await store.ping();
    answered(false);
  };

  return {
    name: "store watch",
    problem: () => {
      if (pulse.isLate()) return "silent";
      return isFull ? "full" : null;
    },
    async start() {
      // A store that has just been opened has answered.
      pulse.beat(SILENT_AFTER_MS);
      void repeat(probe, {
        intervalMs: PROBE_INTERVAL_MS,
        signal: stopping.signal,
        onError: (error) => {
          if (error instanceof AppError && error.code === "storage_full") answered(true);
        },
      });
    },
    /** Does not wait for a probe that is under way: it may hang, and ends with the store. */
    async stop() {
      stopping.abort();
    },
  };
}
