import type { Service } from "../lifecycle.ts";
import { repeat } from "../lifecycle.ts";
import type { HeldClaim, Store } from "../store/store.ts";

/** Often enough that a cancelled program is dead within a second of the request. */
const BEAT_INTERVAL_MS = 500;
/** A worker whose store has not answered for this long stops its runs by itself: others may have them by now. */
const SELF_FENCE_MS = 60_000;

/** One run that this process holds a lease for. */
interface HeldRun extends HeldClaim {
  /** Somebody asked for the job's end. May be called again. */
  cancel(): void;
  /** The lease is someone else's: nothing of this run may become visible. May be called again. */
  fence(): void;
}

export interface LeaseKeeper extends Service {
  hold(run: HeldRun): void;
  drop(run: HeldRun): void;
}

/** Keeps the leases of all runs of one process by a regular beat, and brings back what the store says about them. */
export function createLeaseKeeper(
  store: Store,
  options: {
    readonly owner: string;
    readonly leaseMs: number;
    readonly onError: (error: unknown) => void;
  },
): LeaseKeeper {
  const held = new Set<HeldRun>();
  const stopping = new AbortController();
  let lastGoodBeatMs = performance.now();
  let loop: Promise<void> = Promise.resolve();

  const beat = async () => {
    const runs = [...held];
    if (runs.length > 0) {
      const answer = await store.beat({
        owner: options.owner,
        held: runs.map(({ id, epoch }) => ({ id, epoch })),
      });
      for (const run of runs) {
        // A run that has ended while the beat was under way is not held any more, in the store either.
        if (!held.has(run)) continue;
        if (answer.fenced.some((claim) => isSameClaim(claim, run))) run.fence();
        else if (answer.cancelled.some((claim) => isSameClaim(claim, run))) run.cancel();
      }
    }
    lastGoodBeatMs = performance.now();
  };

  return {
    name: "lease keeper",
    hold: (run) => void held.add(run),
    drop: (run) => void held.delete(run),
    async start() {
      loop = repeat(beat, {
        intervalMs: Math.min(BEAT_INTERVAL_MS, options.leaseMs / 3),
        signal: stopping.signal,
        onError: (error) => {
          options.onError(error);
          if (performance.now() - lastGoodBeatMs > SELF_FENCE_MS)
            for (const run of held) run.fence();
        },
      });
    },
    async stop() {
      stopping.abort();
      await loop;
    },
  };
}

function isSameClaim(a: HeldClaim, b: HeldClaim): boolean {
  return a.id === b.id && a.epoch === b.epoch;
}
