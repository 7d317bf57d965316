/*
 * The part of the store that remembers whom to tell of a job's end.
 */

/** A job that has ended, whose client is to be told. */
export interface DueCallback {
  readonly id: string;
  /** Which try this is, 1 for the first. */
  readonly attempt: number;
}

export interface TakeCallbacksRequest {
  readonly limit: number;
  /** So long nobody else is given them. */
  readonly visibilityMs: number;
}

export interface SettleCallbackRequest extends DueCallback {
  /** From now to the next try; null where there is none: the client was told, or is not to be told any more. */
  readonly retryInMs: number | null;
  /** No try was made after all: it does not count as one. */
  readonly isUntried?: boolean;
}

/** Filled by the step that ends a job with a callback_url, whichever it is. A job that is removed is told of no more. */
export interface Outbox {
  /** Callbacks that are due, those that wait longest first. A taken one that nobody settles comes again. Any process may call it. */
  takeCallbacks(request: TakeCallbacksRequest): Promise<readonly DueCallback[]>;

  /** Says what became of a try. A no-op where a later try has begun, or the job is gone. */
  settleCallback(request: SettleCallbackRequest): Promise<void>;
}
