/*
 * Claims, as workers take and keep them.
 */

/** One claim of one job: the right to write its log and its end, for as long as the lease is kept. */
export interface LeaseKey {
  readonly id: string;
  readonly epoch: number;
  readonly owner: string;
}

export interface ClaimRequest {
  /** The claiming process, unique over all restarts (see platform/process-identity.ts). */
  readonly owner: string;
  /** Which of the owner's slots will run the job. */
  readonly slot: number;
  /** Names this attempt to claim: the same token answers the same job for as long as its lease is held. */
  readonly token: string;
}

/** One claim that its owner still runs. */
export interface HeldClaim {
  readonly id: string;
  readonly epoch: number;
}

export interface BeatRequest {
  readonly owner: string;
  /** All that the owner is running now. */
  readonly held: readonly HeldClaim[];
  /** What it has finished in the last seconds, in case that the store came back without them. */
  readonly ended?: readonly HeldClaim[];
}

/** Claims, not jobs: a worker that has stalled may hold an old and a new claim of one job. */
export interface BeatAnswer {
  /** Held claims whose job somebody has asked to cancel. */
  readonly cancelled: readonly HeldClaim[];
  /** Held claims whose lease is someone else's or a later claim's, has ended or is gone: stop running them. */
  readonly fenced: readonly HeldClaim[];
  /** Claims of `ended` that the store still shows, or shows again, as running: finish is to be called once more. */
  readonly unfinished: readonly HeldClaim[];
}
