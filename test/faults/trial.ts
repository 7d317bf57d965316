import { messageOf } from "../../src/errors.ts";
import { DEFAULT_TIMING } from "../../src/store/timing.ts";
import type { JobJson } from "../support/client.ts";
import { createRandom, type Random } from "./random.ts";
import { Violation } from "./violation.ts";
import { type StoreKind, World, type WorldOptions } from "./world.ts";

/** The stores to which a row applies. */
export const BOTH = ["sqlite", "redis"] as const;
export const REDIS = ["redis"] as const;

/** One kind of fault, and what must hold all the same. */
export interface Row {
  readonly name: string;
  /** The stores to which it applies. */
  readonly stores: readonly StoreKind[];
  /** Its recovery depends on the lease, so it is run at the default lease too. */
  readonly isRecovery?: boolean;
  /** Injects the fault and throws a Violation, or any error, when a promise is broken. */
  run(trial: Trial): Promise<void>;
}

/** One run of a row: its store, its chance, and the deployments that it opens, which are closed when it ends. */
export interface Trial {
  readonly store: StoreKind;
  readonly random: Random;
  readonly leaseMs: number;
  open(options?: WorldOptions): Promise<World>;
  /** Notes how long it took from a fault until what it hit went on. */
  recovered(ms: number): void;
}

export interface TrialResult {
  readonly row: Row;
  readonly store: StoreKind;
  readonly seed: number;
  /** null when every promise held. */
  readonly error: Error | null;
  readonly recoveriesMs: readonly number[];
}

/** Short, so that a suite of many rows takes minutes. */
export const TEST_LEASE_MS = 1_000;

/**
 * From its worker's death until a job runs again, or has ended: lease + sweep + 1 s (store.ts, I4). With the sweep of the
 * default lease for a short one too, since the machine has many trials at once.
 */
export const recoveryBoundMs = (leaseMs: number): number =>
  leaseMs + DEFAULT_TIMING.sweepIntervalMs + 1_000;

/** A worker that is back on the same host runs its predecessor's jobs at once (store.ts, I4): throws a Violation when not. */
export function noteRestart(trial: Trial, job: JobJson, backAtMs: number): void {
  const ms = Date.parse(job.started_at ?? "") - backAtMs;
  // The server says that it listens once its worker has started, so it may have claimed before that.
  trial.recovered(Math.max(ms, 0));
  if (ms > RESTART_MS) throw new Violation("loss", `run again only ${ms} ms after the restart`);
}

const RESTART_MS = 2_000;

/** Above what any row needs. */
const DEADLINE_MS = 180_000;

/** Runs a row once. Never throws. */
export async function runTrial(
  row: Row,
  { store, seed, leaseMs }: { readonly store: StoreKind; readonly seed: number; leaseMs: number },
): Promise<TrialResult> {
  const random = createRandom(seed);
  const worlds: World[] = [];
  const recoveriesMs: number[] = [];
  const trial: Trial = {
    store,
    random,
    leaseMs,
    async open(options = {}) {
      const world = await World.open(store, random, { leaseMs, ...options });
      worlds.push(world);
      return world;
    },
    recovered: (ms) => void recoveriesMs.push(ms),
  };
  let error: Error | null = null;
  const note = (thrown: unknown) => {
    error ??= thrown instanceof Error ? thrown : new Error(messageOf(thrown));
  };
  const deadline = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => deadline.reject(new Violation("loss", `not over after ${DEADLINE_MS / 1000} s`)),
    DEADLINE_MS,
  );
  await Promise.race([row.run(trial), deadline.promise]).catch(note);
  clearTimeout(timer);
  for (const world of worlds) await world.close({ hasFailed: error !== null }).catch(note);
  return { row, store, seed, error, recoveriesMs };
}

/** The column of the table that a failed trial counts in. */
export function violationOf({ error }: TrialResult): Violation["kind"] | "other" | null {
  if (error === null) return null;
  return error instanceof Violation ? error.kind : "other";
}
