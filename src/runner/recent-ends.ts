import { MIB } from "../jobs/limits.ts";
import type { HeldClaim } from "../store/store.ts";

/** Bounds what is remembered; the oldest are forgotten first. */
const MAX_REMEMBERED = 1_000;
const MAX_REMEMBERED_BYTES = 32 * MIB;

/** A job's end that the store has acknowledged. */
export interface StoredEnd {
  /** Ends the job once more, with the same outcome and with what its log may have lost. Idempotent. */
  finishAgain(): Promise<void>;
  /** Memory that this keeps in use. */
  readonly keptBytes: number;
}

/** Ends that the store has acknowledged, but may yet forget. */
export interface RecentEnds {
  add(claim: HeldClaim, end: StoredEnd): void;
  /** Those to ask the store about. */
  claims(): readonly HeldClaim[];
  /**
   * Takes the store's answer to a question asked at `askedAtMs`: what it shows as `unfinished` is finished again, in the
   * background; what it has kept for long enough is forgotten.
   */
  settle(askedAtMs: number, unfinished: readonly HeldClaim[]): void;
}

interface RecentEnd {
  readonly claim: HeldClaim;
  readonly end: StoredEnd;
  /** Infinity while it is being finished again. */
  endedAtMs: number;
}

/**
 * Remembers ends for `unsafeMs` (Store.unsafeMs), and no more of them than MAX_REMEMBERED or MAX_REMEMBERED_BYTES. `onError`
 * is told why one could not be stored again; it is then asked about again until it is forgotten.
 */
export function createRecentEnds(unsafeMs: number, onError: (error: unknown) => void): RecentEnds {
  let recent: RecentEnd[] = [];
  let keptBytes = 0;

  const keep = (isKept: (each: RecentEnd) => boolean) => {
    recent = recent.filter(isKept);
    keptBytes = recent.reduce((sum, { end }) => sum + end.keptBytes, 0);
  };
  const finishAgain = async (each: RecentEnd) => {
    if (each.endedAtMs === Number.POSITIVE_INFINITY) return;
    each.endedAtMs = Number.POSITIVE_INFINITY;
    await each.end.finishAgain().catch(onError);
    each.endedAtMs = performance.now();
  };

  return {
    add(claim, end) {
      recent.push({ claim, end, endedAtMs: performance.now() });
      keptBytes += end.keptBytes;
      while (recent.length > MAX_REMEMBERED || keptBytes > MAX_REMEMBERED_BYTES)
        keptBytes -= recent.shift()?.end.keptBytes ?? 0;
    },
    claims: () => recent.map(({ claim }) => claim),
    settle(askedAtMs, unfinished) {
      for (const each of recent)
        if (unfinished.some(({ id, epoch }) => id === each.claim.id && epoch === each.claim.epoch))
          void finishAgain(each);
      keep(({ endedAtMs }) => askedAtMs - endedAtMs < unsafeMs);
    },
  };
}
