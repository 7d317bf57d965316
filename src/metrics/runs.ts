import type { JobRecord, LogSize } from "../jobs/job.ts";
import type { ClaimRequest, HeldClaim } from "../store/store.ts";

/** One claim that this process holds. */
interface Run extends HeldClaim {
  readonly slot: number;
  /** When the claim was answered, on this process' monotonic clock. */
  readonly claimedAtMs: number;
  /** What has been counted of its log. */
  counted: LogSize;
  isFenced: boolean;
}

/**
 * What this process runs, learnt from its calls of the store. Answers may come twice (every step may be repeated); what is
 * counted is counted once for each run that is kept here.
 */
export class Runs {
  readonly #runs = new Map<string, Run>();

  get count(): number {
    return this.#runs.size;
  }

  /** Enters a claim. false when it is known: its answer was asked for again. */
  begin({ id, epoch }: JobRecord, { slot }: ClaimRequest): boolean {
    const key = keyOf({ id, epoch });
    if (this.#runs.has(key)) return false;
    const before = this.#inSlot(slot);
    // Given back in a way that was not seen here: a slot runs one job at a time.
    if (before !== undefined) this.end(before);
    this.#runs.set(key, {
      id,
      epoch,
      slot,
      claimedAtMs: performance.now(),
      counted: { bytes: 0, droppedBytes: 0 },
      isFenced: false,
    });
    return true;
  }

  /** Forgets a claim. false when it is not known, or no more. */
  end(claim: HeldClaim): boolean {
    return this.#runs.delete(keyOf(claim));
  }

  /** Notes that a claim is someone else's. false when that is known, or the claim is not. */
  fence(claim: HeldClaim): boolean {
    const run = this.#runs.get(keyOf(claim));
    if (run === undefined || run.isFenced) return false;
    run.isFenced = true;
    return true;
  }

  /** How much a log has grown since it was last told. Entries that are sent again have totals that were told before. */
  growth(claim: HeldClaim, log: LogSize): LogSize {
    const run = this.#runs.get(keyOf(claim));
    if (run === undefined) return { bytes: 0, droppedBytes: 0 };
    const before = run.counted;
    run.counted = {
      bytes: Math.max(before.bytes, log.bytes),
      droppedBytes: Math.max(before.droppedBytes, log.droppedBytes),
    };
    return {
      bytes: run.counted.bytes - before.bytes,
      droppedBytes: run.counted.droppedBytes - before.droppedBytes,
    };
  }

  /** How long ago the job of a slot was claimed; null for a slot without one. */
  sinceClaimMs(slot: number): number | null {
    const run = this.#inSlot(slot);
    return run === undefined ? null : performance.now() - run.claimedAtMs;
  }

  #inSlot(slot: number): Run | undefined {
    return [...this.#runs.values()].find((run) => run.slot === slot);
  }
}

function keyOf({ id, epoch }: HeldClaim): string {
  return `${id} ${epoch}`;
}
