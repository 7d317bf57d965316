import { AppError, type ErrorCode, type FieldError } from "../errors.ts";
import { EXAMPLE_ID } from "./openapi-examples.ts";
import type { OPERATIONS } from "./openapi-operations.ts";
import { type Answer, ref } from "./openapi-parts.ts";
import { errorStatuses, problemBody } from "./problem.ts";

/*
 * What can go wrong with each operation, for its description. A test provokes what can be provoked, and compares.
 */

/** A parameter of the query that is given twice, and a bug of ours. */
const ANYWHERE = ["invalid_query", "internal"] as const;
/** The guard lets a probe through, whoever calls. */
const GUARDED = [
  ...ANYWHERE,
  "unauthorized",
  "forbidden_host",
  "forbidden_origin",
  "forbidden_scope",
] as const;
/** A path that cannot be decoded, a job that is not there. */
const OF_JOB = [...GUARDED, "bad_request", "not_found", "store_unavailable"] as const;
const OF_FILE = [...OF_JOB, "range_not_satisfiable"] as const;
/** What a signed URL may be of. */
const OF_SIGNED = "forbidden_signature";
const NEW_JOB = [
  "bad_request",
  "invalid_spec",
  "unknown_runtime",
  "idempotency_key_reused",
  "quota_exceeded",
  "queue_full",
  "draining",
  "sandbox_unavailable",
  "store_unavailable",
  "storage_full",
] as const;

export const ERRORS = {
  "POST /jobs": [...GUARDED, ...NEW_JOB, "payload_too_large", "unsupported_media_type"],
  "GET /jobs": [...GUARDED, "store_unavailable"],
  "GET /jobs/:id": [...OF_JOB, "too_many_streams"],
  "DELETE /jobs/:id": [...OF_JOB, "job_active", "storage_full"],
  "POST /jobs/:id/cancel": [...OF_JOB, "storage_full"],
  "POST /jobs/:id/rerun": [...OF_JOB, ...NEW_JOB],
  "GET /jobs/:id/logs": [...OF_FILE, "too_many_streams"],
  "GET /jobs/:id/logs/stream": [...OF_JOB, "too_many_streams"],
  "GET /jobs/:id/files/*": OF_FILE,
  "GET /jobs/:id/artifacts": OF_JOB,
  "GET /jobs/:id/artifacts.zip": [...OF_JOB, OF_SIGNED],
  "GET /jobs/:id/artifacts/*": [...OF_FILE, OF_SIGNED],
  "GET /runtimes": [...GUARDED, "store_unavailable"],
  "GET /health": GUARDED,
  "GET /stats": GUARDED,
  "GET /metrics": GUARDED,
  "GET /livez": ANYWHERE,
  "GET /readyz": ANYWHERE,
  "GET /openapi.json": GUARDED,
  "GET /docs": ANYWHERE,
  "GET /docs/:file": [...ANYWHERE, "bad_request", "not_found"],
} as const satisfies Record<keyof typeof OPERATIONS, readonly ErrorCode[]>;

/** A path that an error may be about, and what it says; where a field is at fault, which. */
interface ErrorExample {
  readonly instance: string;
  readonly detail: string;
  readonly pointer?: string;
}

const JOB = `/jobs/${EXAMPLE_ID}`;

const EXAMPLES: Readonly<Record<ErrorCode, ErrorExample>> = {
  bad_request: { instance: "/jobs", detail: "The multipart body cannot be read: it is empty." },
  unauthorized: { instance: "/jobs", detail: "The API key is not valid." },
  forbidden_host: {
    instance: "/jobs",
    detail:
      'The host "evil.example" is not served here without an API key; the operator can add it to ALLOWED_HOSTS.',
  },
  forbidden_origin: {
    instance: "/jobs",
    detail:
      "A page of https://evil.example may not call this server; the operator can add its origin to CORS_ORIGINS.",
  },
  forbidden_scope: { instance: "/jobs", detail: 'The API key does not have the scope "submit".' },
  forbidden_signature: {
    instance: `${JOB}/artifacts/result.csv`,
    detail: "The signed URL has expired.",
  },
  not_found: { instance: JOB, detail: `There is no job "${EXAMPLE_ID}" (or no longer).` },
  method_not_allowed: {
    instance: "/jobs",
    detail: "PUT is not allowed on /jobs, only POST, GET, HEAD.",
  },
  job_active: {
    instance: JOB,
    detail: "The job is running; only one that has ended can be removed. Cancel it first.",
  },
  payload_too_large: {
    instance: "/jobs",
    detail: "The body is larger than 100 MiB, the most that this server takes (MAX_UPLOAD_MB).",
  },
  unsupported_media_type: {
    instance: "/jobs",
    detail: 'A job is sent as multipart/form-data or application/json, not as "text/plain".',
    pointer: "",
  },
  range_not_satisfiable: {
    instance: `${JOB}/artifacts/result.csv`,
    detail: 'The range "bytes=8-" is outside the 8 bytes of the file.',
  },
  invalid_spec: {
    instance: "/jobs",
    detail: '/spec/timeout: Unknown field "timeout".',
    pointer: "/spec/timeout",
  },
  invalid_query: {
    instance: "/jobs",
    detail: '/limit: Expected a number from 1 to 200, got "0".',
    pointer: "/limit",
  },
  unknown_runtime: {
    instance: "/jobs",
    detail:
      '/spec/runtime: The runtime "cobol" is not installed. Installed: python3.12 (python3, python), node.',
    pointer: "/spec/runtime",
  },
  idempotency_key_reused: {
    instance: "/jobs",
    detail:
      "Idempotency-Key: The key was used for another request; a new request needs a key of its own.",
    pointer: "/Idempotency-Key",
  },
  quota_exceeded: {
    instance: "/jobs",
    detail: "submits_per_minute: This key may submit 60 jobs in a minute.",
    pointer: "/submits_per_minute",
  },
  internal: {
    instance: "/jobs",
    detail: "Something went wrong on the server; its log has the details.",
  },
  sandbox_error: { instance: JOB, detail: "The sandbox could not be started." },
  queue_full: {
    instance: "/jobs",
    detail: "As many jobs wait as this server takes (MAX_QUEUED is 10000): try again later.",
  },
  draining: {
    instance: "/jobs",
    detail: "The server is shutting down and takes no new jobs.",
  },
  sandbox_unavailable: {
    instance: "/jobs",
    detail: "No worker has announced a runtime to run jobs with.",
  },
  too_many_streams: {
    instance: `${JOB}/logs/stream`,
    detail:
      "As many clients read a log, live or as it is, or wait for a job's end as this server has room for (MAX_STREAMS is 5000): try again later.",
  },
  store_unavailable: { instance: "/jobs", detail: "The store does not answer." },
  storage_full: { instance: "/jobs", detail: "The disk that holds the job folders is full." },
};

/** An example of every error, for the document's components. */
export function errorExamples() {
  const examples = Object.entries(EXAMPLES) as [ErrorCode, ErrorExample][];
  return Object.fromEntries(
    examples.map(([code, example]) => [code, { summary: code, value: bodyOf(code, example) }]),
  );
}

function bodyOf(code: ErrorCode, { instance, detail, pointer }: ErrorExample) {
  const said = pointer === undefined ? detail : detail.replace(/^\S+: /, "");
  const fields: readonly FieldError[] = pointer === undefined ? [] : [{ pointer, detail: said }];
  const requestId = "8f9d3c0a-3a0e-4f4f-9a55-0d1f4a6a1b2c";
  return problemBody(new AppError(code, detail, { fields }), { instance, requestId });
}

/** The answers of an operation that are errors, by their status. */
export function errorAnswers(route: keyof typeof ERRORS): Readonly<Record<string, Answer>> {
  const statuses = errorStatuses();
  const byStatus = Map.groupBy(
    new Set<ErrorCode>(ERRORS[route]),
    (code) => statuses.get(code) ?? 0,
  );
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [String(status), errorAnswer(status, codes)]),
  );
}

const RETRY_AFTER = {
  description: "Seconds after which to try again.",
  schema: { type: "string" },
};
const CHALLENGE = { description: "How to send a key.", schema: { type: "string" } };

function errorAnswer(status: number, codes: readonly ErrorCode[]): Answer {
  const examples = codes.map((code) => [code, { $ref: `#/components/examples/${code}` }]);
  return {
    description: codes.map((code) => `\`${code}\``).join(", "),
    ...(status === 401 && { headers: { "WWW-Authenticate": CHALLENGE } }),
    ...((status === 429 || status >= 503) && { headers: { "Retry-After": RETRY_AFTER } }),
    content: {
      "application/problem+json": {
        schema: ref("Problem"),
        examples: Object.fromEntries(examples) as object,
      },
    },
  };
}
