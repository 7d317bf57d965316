import type { SandboxStatus } from "../sandbox/sandbox.ts";
import type { Pulse } from "./pulse.ts";
import type { StoreWatch } from "./store-watch.ts";

export interface ReadinessParts {
  /** Fires when the process begins to shut down. */
  readonly draining: AbortSignal;
  readonly store: Pick<StoreWatch, "problem">;
  /** What runs jobs in this process; null where they run elsewhere. */
  readonly worker: { readonly sandbox: () => SandboxStatus; readonly claiming: Pulse } | null;
}

const STORE_PROBLEMS = {
  silent: "The store does not answer.",
  full: "The store is full: it takes no new jobs, and those that run go on.",
} as const;

/**
 * Why this process cannot do its work now, as sentences without names or addresses, since probes are open to everybody.
 * Empty when it can.
 */
export function reasonsNotReady({ draining, store, worker }: ReadinessParts): readonly string[] {
  const reasons: string[] = [];
  if (draining.aborted) reasons.push("The server is shutting down.");
  if (worker?.sandbox().ready === false) reasons.push("The sandbox did not pass its self-test.");
  const problem = store.problem();
  if (problem !== null) reasons.push(STORE_PROBLEMS[problem]);
  // A claim that waits for the store has its reason above.
  else if (worker?.claiming.isLate() === true)
    reasons.push("No job is taken from the queue: what takes them has stopped moving.");
  return reasons;
}
