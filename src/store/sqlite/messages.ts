import type { ErrorCode, FieldError } from "../../errors.ts";
import type { SweepAnswer } from "../store.ts";

/*
 * What the store and its two threads say to each other. Everything is plain data: records as JSON text, log entries as
 * bytes, so that nothing depends on how a structured clone treats an odd key.
 */

/** Whether a thread owns the file and writes, or reads beside it. */
type ThreadRole = "write" | "read";

/** Given to a thread at its start. */
export interface ThreadStart {
  readonly role: ThreadRole;
  readonly path: string;
}

/** One operation of operations.ts by its name, with its argument. */
export interface Call {
  readonly operation: string;
  readonly argument: unknown;
  /** What it comes to is to be told before it is committed. */
  readonly isToldAhead?: boolean;
}

/** An AppError on its way between threads. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly fields?: readonly FieldError[];
  readonly retryAfterSec?: number;
}

export type CallResult =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly failure: Failure };

export type ToThread =
  | { readonly kind: "calls"; readonly calls: readonly Call[] }
  /** Close the database and end; answered by `closed`. */
  | { readonly kind: "close" };

export type FromThread =
  /** With what became of the jobs that the file's owner before this one was running; the reader finds none. */
  | { readonly kind: "opened"; readonly recovered: SweepAnswer }
  /** The database could not be opened; the thread has ended. */
  | { readonly kind: "refused"; readonly failure: Failure }
  /** What a call of the list that is under way comes to, if that succeeds: `results` then says no more than so. */
  | { readonly kind: "ahead"; readonly index: number; readonly value: unknown }
  /** One for each of the calls, in their order. */
  | { readonly kind: "results"; readonly results: readonly CallResult[] }
  | { readonly kind: "closed" };

/** What a file tells in which nothing was running. */
export const NOTHING_RECOVERED: SweepAnswer = { requeued: [], lost: [], cancelled: [] };
