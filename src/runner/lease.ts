import type { Service } from "../lifecycle.ts";
import { repeat } from "../lifecycle.ts";
import type { BeatAnswer, HeldClaim, Store } from "../store/store.ts";
import { createRecentEnds, type StoredEnd } from "./recent-ends.ts";

/** Often enough that a cancelled program is dead within a second of the request. */
const BEAT_INTERVAL_MS = 500;

/** One run that this process holds a lease for. */
interface HeldRun extends HeldClaim {
  /** Somebody asked for the job's end. May be called again. */
  cancel(): void;
  /** The lease is someone else's: nothing of this run may become visible. May be called again. */
  fence(): void;
}

export interface LeaseKeeper extends Service {
  hold(run: HeldRun): void;
  /** The run is over without an end of the job. */
  drop(run: HeldRun): void;
  /** The run has ended the job, which is done again should the store have forgotten it within the next seconds. */
  ended(run: HeldRun, end: StoredEnd): void;
}

export interface LeaseKeeperOptions {
  readonly owner: string;
  readonly leaseMs: number;
  /** Runs are fenced when the store has not answered for this long: others may have them by now. */
  readonly outageMs: number;
  /** Told of each run that is fenced for that; the store's own answers fence without it. */
  readonly onCutOff?: (claim: HeldClaim) => void;
  readonly onError: (error: unknown) => void;
}

/** Keeps the leases of all runs of one process by a regular beat, and brings back what the store says about them. */
export function createLeaseKeeper(store: Store, options: LeaseKeeperOptions): LeaseKeeper {
  const { owner, leaseMs, outageMs, onCutOff, onError } = options;
  const held = new Set<HeldRun>();
  const recent = createRecentEnds(store.unsafeMs, onError);
  const stopping = new AbortController();
  let loop: Promise<void> = Promise.resolve();

  const tell = (runs: readonly HeldRun[], answer: BeatAnswer) => {
    for (const run of runs) {
      // A run that has ended while the beat was under way is not held any more, in the store either.
      if (!held.has(run)) continue;
      if (answer.fenced.some((claim) => isSameClaim(claim, run))) run.fence();
      else if (answer.cancelled.some((claim) => isSameClaim(claim, run))) run.cancel();
    }
  };

  const beat = async () => {
    const runs = [...held];
    const ended = recent.claims();
    const startedAtMs = performance.now();
    // Also with nothing to tell: a store that was restarted waits for a sign of everybody (store/redis/restart-grace.ts).
    const answer = await store.beat({ owner, held: runs.map(claimOf), ended });
    tell(runs, answer);
    recent.settle(startedAtMs, answer.unfinished);
    outage.restart();
  };

  const cutOff = (run: HeldRun) => {
    onCutOff?.(claimOf(run));
    run.fence();
  };
  const outage = createOutageClock(outageMs, () => {
    for (const run of held) cutOff(run);
  });

  return {
    name: "lease keeper",
    hold(run) {
      // Its claim was answered just now, and those that were held in an outage have been fenced already.
      if (held.size === 0 || outage.hasBegun) outage.restart();
      held.add(run);
    },
    drop: (run) => void held.delete(run),
    ended(run, end) {
      held.delete(run);
      recent.add(claimOf(run), end);
    },
    async start() {
      outage.restart();
      const intervalMs = Math.min(BEAT_INTERVAL_MS, leaseMs / 3);
      loop = repeat(beat, { intervalMs, signal: stopping.signal, onError });
    },
    async stop() {
      stopping.abort();
      await loop;
      outage.stop();
    },
  };
}

/**
 * Calls `onOutage` when it has not been restarted for `outageMs`. A clock of its own, not a look after each failure: a call
 * to a store that is away takes seconds to fail.
 */
function createOutageClock(outageMs: number, onOutage: () => void) {
  let timer: NodeJS.Timeout | undefined;
  let hasBegun = false;
  return {
    get hasBegun() {
      return hasBegun;
    },
    restart(): void {
      clearTimeout(timer);
      hasBegun = false;
      timer = setTimeout(() => {
        hasBegun = true;
        onOutage();
      }, outageMs);
    },
    stop: () => clearTimeout(timer),
  };
}

function claimOf({ id, epoch }: HeldClaim): HeldClaim {
  return { id, epoch };
}

function isSameClaim(a: HeldClaim, b: HeldClaim): boolean {
  return a.id === b.id && a.epoch === b.epoch;
}
