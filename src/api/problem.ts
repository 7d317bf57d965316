import { AppError, type ErrorCode } from "../errors.ts";

/** The one place where an error of ours gets an HTTP status. A code without a row does not compile. */
const STATUS = {
  bad_request: { status: 400, title: "The request cannot be read" },
  unauthorized: { status: 401, title: "A valid API key is needed" },
  forbidden_host: { status: 403, title: "This host name is not served" },
  forbidden_origin: { status: 403, title: "Requests from this origin are not allowed" },
  forbidden_scope: { status: 403, title: "The API key may not do this" },
  forbidden_signature: { status: 403, title: "The signed URL is not valid" },
  not_found: { status: 404, title: "Not found" },
  method_not_allowed: { status: 405, title: "Method not allowed" },
  job_active: { status: 409, title: "The job has not ended" },
  payload_too_large: { status: 413, title: "The upload is too large" },
  unsupported_media_type: { status: 415, title: "Unsupported media type" },
  range_not_satisfiable: { status: 416, title: "Range not satisfiable" },
  invalid_spec: { status: 422, title: "The job is not valid" },
  invalid_query: { status: 422, title: "The query is not valid" },
  unknown_runtime: { status: 422, title: "The runtime is not available" },
  idempotency_key_reused: { status: 422, title: "The idempotency key belongs to another request" },
  quota_exceeded: { status: 429, title: "A quota of the API key is used up" },
  internal: { status: 500, title: "Internal error" },
  sandbox_error: { status: 500, title: "The sandbox failed" },
  draining: { status: 503, title: "The server is shutting down" },
  queue_full: { status: 503, title: "Too many jobs wait" },
  sandbox_unavailable: { status: 503, title: "No sandbox to run jobs in" },
  too_many_streams: { status: 503, title: "Too many clients read logs or wait" },
  store_unavailable: { status: 503, title: "The job store does not answer" },
  storage_full: { status: 507, title: "The store is full" },
} as const satisfies Record<ErrorCode, { readonly status: number; readonly title: string }>;

/** The status that a code is answered with. */
export type StatusOf<Code extends ErrorCode> = (typeof STATUS)[Code]["status"];

/**
 * Seconds after which a request may be tried again, where the error does not say. A store that is away comes back by
 * itself; a full one waits for somebody to make room.
 */
const RETRY_AFTER_SEC: ReadonlyMap<number, number> = new Map([
  [503, 5],
  [507, 30],
]);

const STORE_AWAY =
  "The job store does not answer at the moment; what was sent may or may not be stored.";

/** Every code with its status, for the API description. */
export function errorStatuses(): ReadonlyMap<ErrorCode, number> {
  return new Map(
    Object.entries(STATUS).map(([code, { status }]) => [code as ErrorCode, status] as const),
  );
}

/**
 * An application/problem+json response (RFC 9457) with our members `code` (stable), `errors` (JSON pointers) and
 * `request_id`. An error that is not an AppError becomes a plain 500: its text stays in the server's log.
 */
export function problemResponse(error: unknown, request: Request, requestId: string): Response {
  const known =
    error instanceof AppError
      ? error
      : new AppError("internal", "Something went wrong on the server; its log has the details.");
  const { status } = STATUS[known.code];
  const headers: Record<string, string> = {
    "Content-Type": "application/problem+json",
    "Cache-Control": "no-store",
  };
  const retryAfterSec = known.retryAfterSec ?? RETRY_AFTER_SEC.get(status);
  if (retryAfterSec !== undefined) headers["Retry-After"] = String(retryAfterSec);
  if (status === 401) headers["WWW-Authenticate"] = 'Bearer realm="job-runner"';
  const body = problemBody(known, { instance: new URL(request.url).pathname, requestId });
  return new Response(JSON.stringify(body), { status, headers });
}

/** What such a response says. `instance` is the path that was asked for. */
export function problemBody(
  { code, message, fields }: AppError,
  { instance, requestId }: { readonly instance: string; readonly requestId: string },
) {
  const { status, title } = STATUS[code];
  return {
    type: `urn:job-runner:problem:${code}`,
    title,
    status,
    // Why the store does not answer names addresses of the operator's, whose log has it.
    detail: code === "store_unavailable" ? STORE_AWAY : message,
    instance,
    code,
    errors: fields.map(({ pointer, detail }) => ({ pointer, detail })),
    request_id: requestId,
  };
}
