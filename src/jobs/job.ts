import type { Limits } from "./limits.ts";
import type { AttemptReason, EndNote } from "./log-entry.ts";
import type { NetPolicy } from "./net-policy.ts";
import type { Outcome } from "./outcome.ts";
import type { JobStatus } from "./states.ts";

/** Whether a text is shaped as the ids that jobs get: as crypto.randomUUID writes them (RFC 9562, in lower case). */
export function isJobId(text: string): boolean {
  return /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/.test(text);
}

export const PRIORITIES = ["low", "normal", "high"] as const;
export type Priority = (typeof PRIORITIES)[number];

/** A JobSpec with every default filled in and every bound checked: what a worker needs to run the job. */
export interface ResolvedSpec {
  readonly entry: string;
  readonly args: readonly string[];
  readonly timeoutMs: number;
  /** The name asked for, or the one that the entry's extension chose, e.g. `python3`. */
  readonly runtime: string;
  readonly netPolicy: NetPolicy;
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
  /** Before it runs, what its manifest names is installed. */
  readonly install: boolean;
  readonly limits: Limits;
  readonly priority: Priority;
  readonly labels: Readonly<Record<string, string>>;
  /** Where the job is POSTed to once it has ended; absent: nowhere. */
  readonly callbackUrl?: string;
}

/** An uploaded file. `path` is where the program finds it under its working directory. */
export interface InputFile {
  readonly path: string;
  readonly role: "code" | "input";
  /** Its place in the job's folder; null for a small file, which is `content`, in base64. */
  readonly blob: string | null;
  readonly content?: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** What a submit stores for good. */
export interface NewJob {
  readonly id: string;
  /** The API key that submitted it; null: none, or before there were any. */
  readonly keyId: string | null;
  readonly spec: ResolvedSpec;
  readonly files: readonly InputFile[];
  /** The installed runtime that was chosen, e.g. `{name: "python3.11", version: "3.11.2"}`. */
  readonly runtime: RuntimeChoice;
  readonly warnings: readonly string[];
  /** The trace that the submit was part of (W3C Trace Context), for the program; absent where it was in none. */
  readonly traceparent?: string;
}

export interface RuntimeChoice {
  readonly name: string;
  readonly version: string;
}

/** The whole record of a job as a store gives it back. Times are Unix milliseconds of the store's clock. */
export interface JobRecord extends NewJob {
  readonly status: JobStatus;
  readonly createdAtMs: number;
  /** When the latest attempt was claimed; null before the first. */
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number | null;
  /** The latest claim's epoch, 0 before the first. */
  readonly epoch: number;
  /** `epochs[n - 1]` is the epoch of attempt n; its length is the number of attempts so far. */
  readonly epochs: readonly number[];
  /** Attempts that a dying worker ended. */
  readonly crashes: number;
  /** Why the next attempt is not the first. */
  readonly retryReason: AttemptReason | null;
  /** The worker that holds or held the latest claim; null before the first. */
  readonly owner: string | null;
  readonly cancelRequested: boolean;
  /** Bytes of output stored in, and dropped from, the latest attempt's log. */
  readonly log: LogSize;
  /** null until the job has ended. */
  readonly outcome: Outcome | null;
}

export interface LogSize {
  readonly bytes: number;
  readonly droppedBytes: number;
}

/** What a job listing may be narrowed to. */
export interface JobFilter {
  readonly status?: JobStatus;
  readonly runtime?: string;
  readonly label?: { readonly name: string; readonly value: string };
}

export function matchesFilter(job: JobRecord, filter: JobFilter): boolean {
  if (filter.status !== undefined && job.status !== filter.status) return false;
  if (
    filter.runtime !== undefined &&
    job.runtime.name !== filter.runtime &&
    job.spec.runtime !== filter.runtime
  )
    return false;
  return filter.label === undefined || job.spec.labels[filter.label.name] === filter.label.value;
}

/** The words of an outcome that the log's end entry repeats. */
export function endNote(outcome: Outcome): EndNote {
  const { status, reason, exitCode, signal } = outcome;
  return { status, reason, exitCode, signal };
}
