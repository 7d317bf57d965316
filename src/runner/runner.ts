import type { Pulse } from "../health/pulse.ts";
import type { JobRecord } from "../jobs/job.ts";
import type { Service } from "../lifecycle.ts";
import { pause, repeat } from "../lifecycle.ts";
import { runtimeInfo } from "../runtimes/runtime.ts";
import { type AttemptPorts, runAttempt } from "./attempt.ts";
import { createClaims } from "./claims.ts";
import type { Gate } from "./gate.ts";

/** A lost wake-up costs at most this. */
const CLAIM_POLL_MS = 2_000;
/** After a failed claim; a store that is down is not asked in a tight loop. */
const CLAIM_BACKOFF_MS = 500;
const ANNOUNCE_INTERVAL_MS = 30_000;
/** A claim that takes longer has not moved. */
const CLAIM_PATIENCE_MS = 2_500;

export interface RunnerPorts extends AttemptPorts {
  /** While it is closed no job is claimed; those that run go on. */
  readonly ready: Gate;
  /** Beats with every turn of the claim loop that did what it was to do; a claim that failed is none. */
  readonly pulse: Pulse;
}

export interface RunnerOptions {
  /** Jobs at once. */
  readonly slots: number;
  /** On stop, running jobs get this long; then they are handed back to the queue. */
  readonly drainMs: number;
}

/**
 * The worker: claims jobs while it has a free slot, and runs them. Started only once the sandbox has passed its
 * self-test.
 */
export function createRunner(ports: RunnerPorts, options: RunnerOptions): Service {
  const stopping = new AbortController();
  const drained = new AbortController();
  const running = new Map<number, Promise<void>>();
  let loops: Promise<unknown> = Promise.resolve();

  const take = (job: JobRecord, slot: number, claimed: Promise<void>) => {
    const attempt = runAttempt(ports, job, { slot, claimed, drained: drained.signal });
    running.set(
      slot,
      attempt.finally(() => running.delete(slot)),
    );
    return attempt;
  };

  const claims = createClaims(ports);
  const claimOne = async () => {
    if (!ports.ready.isOpen()) await rest(ports.pulse, ports.ready.opened(stopping.signal));
    if (stopping.signal.aborted) return;
    const slot = claims.unansweredSlot() ?? freeSlot(running, options.slots);
    if (slot === null) return rest(ports.pulse, Promise.race(running.values()));
    await claims.claimFor(slot, (job, claimed) => take(job, slot, claimed));
    ports.pulse.beat(CLAIM_PATIENCE_MS + CLAIM_POLL_MS);
    // Also after a job: where more wait, this knows. A claim that finds nothing would only take time from the one that runs.
    if (freeSlot(running, options.slots) !== null)
      await ports.store.waitForWork(CLAIM_POLL_MS, stopping.signal);
  };

  const claimAll = async () => {
    while (!stopping.signal.aborted) {
      try {
        await claimOne();
      } catch (error) {
        ports.onError("runner", error);
        await pause(CLAIM_BACKOFF_MS, stopping.signal);
      }
    }
    ports.pulse.beat(Number.POSITIVE_INFINITY);
  };

  return {
    name: "runner",
    async start() {
      const { signal } = stopping;
      ports.pulse.beat(CLAIM_PATIENCE_MS);
      const announcing = repeat(() => announce(ports, options.slots), {
        intervalMs: ANNOUNCE_INTERVAL_MS,
        signal,
        onError: (error) => ports.onError("runner", error),
      });
      loops = Promise.all([claimAll(), announcing]);
    },
    async stop() {
      stopping.abort();
      // The claim loop may be waiting for a slot: it ends with the runs.
      const idle = loops.then(() => Promise.all(running.values()));
      const expired = new AbortController();
      await Promise.race([idle, pause(options.drainMs, expired.signal)]);
      expired.abort();
      drained.abort();
      await idle;
      await claims.handBackUnanswered();
    },
  };
}

/** Waits for what may take any time without anything being wrong. */
async function rest(pulse: Pulse, what: Promise<void>): Promise<void> {
  pulse.beat(Number.POSITIVE_INFINITY);
  await what;
  pulse.beat(CLAIM_PATIENCE_MS);
}

function freeSlot(running: ReadonlyMap<number, unknown>, slots: number): number | null {
  for (let slot = 0; slot < slots; slot++) if (!running.has(slot)) return slot;
  return null;
}

function announce(ports: AttemptPorts, slots: number): Promise<void> {
  const runtimes = ports.runtimes.list().map(runtimeInfo);
  return ports.store.announceWorker({ owner: ports.owner, slots, runtimes });
}
