/** Every way in which this service itself can refuse or fail. The HTTP status of each is in api/problem.ts. */
export type ErrorCode =
  | "bad_request"
  | "invalid_spec"
  | "invalid_query"
  | "unknown_runtime"
  | "idempotency_key_reused"
  | "unauthorized"
  | "forbidden_host"
  | "forbidden_origin"
  | "forbidden_scope"
  | "forbidden_signature"
  | "not_found"
  | "job_active"
  | "method_not_allowed"
  | "payload_too_large"
  | "unsupported_media_type"
  | "range_not_satisfiable"
  | "quota_exceeded"
  | "queue_full"
  | "sandbox_unavailable"
  | "sandbox_error"
  | "store_unavailable"
  | "storage_full"
  | "too_many_streams"
  | "draining"
  | "internal";

/** One thing that is wrong with a request; `pointer` is a JSON pointer such as `/spec/args/0` or `/code_files`. */
export interface FieldError {
  readonly pointer: string;
  readonly detail: string;
}

/** A failure of the request or of the service. How a user's program ended is a value (jobs/outcome.ts), never this. */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: ErrorCode;
  readonly fields: readonly FieldError[];
  /** Seconds after which a client may try again, where that is known. */
  readonly retryAfterSec: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      fields?: readonly FieldError[];
      retryAfterSec?: number;
      cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.fields = options.fields ?? [];
    this.retryAfterSec = options.retryAfterSec;
  }
}

/** The text of anything thrown, for a log line or a `detail`. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
