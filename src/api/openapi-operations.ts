import packageJson from "../../package.json" with { type: "json" };
import {
  ARTIFACT_EXAMPLE,
  CANCELLED_JOB,
  ENDED_JOB,
  JOB_WITH_OUTPUT,
  METRICS_EXAMPLE,
  NDJSON_EXAMPLE,
  OPENAPI_EXAMPLE,
  QUEUED_JOB,
  RUNTIMES_EXAMPLE,
  STATS_EXAMPLE,
  STREAM_EXAMPLE,
} from "./openapi-examples.ts";
import {
  bytes,
  FILENAME,
  ID,
  JOB_ENDED,
  json,
  type Operation,
  PAGE_FILE,
  RANGE,
  ref,
  SUBMIT_HEADERS,
} from "./openapi-parts.ts";
import {
  ArtifactsQuery,
  JobQuery,
  ListQuery,
  SignedQuery,
  SnapshotQuery,
  StreamQuery,
} from "./request-schemas.ts";

/*
 * Every operation of the API, for its description. A test compares them with the routes that the server really has.
 */

const SUBMITTED = {
  "200": json(
    "It has ended in the time that the client prefers to wait.",
    "EndedJob",
    JOB_WITH_OUTPUT,
  ),
  "202": json("Stored and queued; it will end once.", "Job", QUEUED_JOB),
} satisfies Operation["responses"];

const SUBMIT = {
  summary: "Submit a job",
  parameters: SUBMIT_HEADERS,
  requestBody: {
    required: true,
    content: {
      "multipart/form-data": {
        schema: {
          type: "object",
          required: ["spec", "code_files"],
          properties: {
            spec: ref("JobSpec"),
            code_files: { type: "array", items: { type: "string", format: "binary" } },
            input_files: { type: "array", items: { type: "string", format: "binary" } },
          },
        },
        encoding: { spec: { contentType: "application/json" } },
        example: { spec: { entry: "main.py", timeout_sec: 20 }, code_files: ["print('hello')\n"] },
      },
      "application/json": {
        schema: ref("InlineJob"),
        example: {
          entry: "main.py",
          timeout_sec: 20,
          files: [{ path: "main.py", content: "print('hello')\n" }],
        },
      },
    },
  },
  callbacks: { jobEnded: { "{$request.body#/callback_url}": { post: JOB_ENDED } } },
  responses: SUBMITTED,
} satisfies Operation;

const DOWNLOADED = {
  "200": bytes("The file.", "application/octet-stream", "a,b\n1,2\n"),
  "206": bytes("The part asked for.", "application/octet-stream", "a,b\n"),
  "304": { description: "The client's copy is the same." },
} satisfies Operation["responses"];

const PAGE_EXAMPLE = '<!doctype html>\n<html lang="en">\n';

/** Keyed as Elysia names its routes: `METHOD /path/:parameter`. */
export const OPERATIONS = {
  "POST /jobs": SUBMIT,
  "GET /jobs": {
    summary: "List jobs, newest first",
    query: ListQuery,
    responses: {
      "200": json("A page of jobs.", "JobList", { items: [QUEUED_JOB], next_cursor: null }),
    },
  },
  "GET /jobs/:id": {
    summary: "A job's status and metadata; with ?wait, once it has ended or the time is over",
    parameters: [ID],
    query: JobQuery,
    responses: { "200": json("The job.", "Job", ENDED_JOB) },
  },
  "DELETE /jobs/:id": {
    summary: "Remove an ended job: record, log and files",
    parameters: [ID],
    responses: { "204": { description: "It is gone." } },
  },
  "POST /jobs/:id/rerun": {
    summary: "A new job from the same spec and files",
    parameters: [ID, ...SUBMIT_HEADERS],
    responses: SUBMITTED,
  },
  "GET /jobs/:id/files/*": {
    summary: "One uploaded file (ETag, Range)",
    parameters: [ID, FILENAME, RANGE],
    responses: DOWNLOADED,
  },
  "GET /jobs/:id/artifacts.zip": {
    summary: "All artifacts as one zip archive",
    parameters: [ID],
    query: SignedQuery,
    responses: { "200": bytes("The archive, made while it is sent.", "application/zip") },
  },
  "POST /jobs/:id/cancel": {
    summary: "Cancel a job: a queued one never runs, a running one is killed",
    parameters: [ID],
    responses: {
      "200": json("It had already ended, and is unchanged.", "Job", ENDED_JOB),
      "202": json("It is cancelled, or about to be.", "Job", CANCELLED_JOB),
    },
  },
  "GET /jobs/:id/logs": {
    summary: "Everything printed so far, byte for byte; or its last lines, a range, or its events",
    parameters: [ID, RANGE],
    query: SnapshotQuery,
    responses: {
      "200": {
        description: "The program's output.",
        content: {
          "text/plain": { schema: { type: "string" }, example: "hello\n" },
          "application/x-ndjson": { schema: { type: "string" }, example: NDJSON_EXAMPLE },
        },
      },
      "206": bytes("The range asked for.", "text/plain", "hel"),
    },
  },
  "GET /jobs/:id/logs/stream": {
    summary: "The same as Server-Sent Events, live; ends with `event: end`",
    query: StreamQuery,
    parameters: [
      ID,
      { name: "Last-Event-ID", in: "header", required: false, schema: { type: "string" } },
    ],
    responses: {
      "200": bytes("The stream.", "text/event-stream", STREAM_EXAMPLE),
      "204": { description: "The client has had the `end` event: nothing will come." },
    },
  },
  "GET /jobs/:id/artifacts": {
    summary: "The files that the run created or changed; with `signed`, by URLs that need no key",
    parameters: [ID],
    query: ArtifactsQuery,
    responses: { "200": json("The list.", "ArtifactList", ARTIFACT_EXAMPLE) },
  },
  "GET /jobs/:id/artifacts/*": {
    summary: "Download one artifact (ETag, Range); HEAD tells its size and type",
    parameters: [ID, FILENAME, RANGE],
    query: SignedQuery,
    responses: DOWNLOADED,
  },
  "GET /runtimes": {
    summary: "What can run here, and within which limits",
    responses: { "200": json("Runtimes and limits.", "Runtimes", RUNTIMES_EXAMPLE) },
  },
  "GET /health": {
    summary: "Store, sandbox, and what is missing",
    responses: {
      "200": json("The process is up.", "Health", {
        status: "ok",
        version: packageJson.version,
        store: { kind: "sqlite" },
        sandbox: {
          driver: "bwrap",
          ready: true,
          problems: [],
          gaps: [],
          cgroup: "v2",
          seccomp: true,
        },
      }),
    },
  },
  "GET /stats": {
    summary: "What waits and runs, slots, workers and clients at this moment",
    responses: { "200": json("The numbers.", "Stats", STATS_EXAMPLE) },
  },
  "GET /metrics": {
    summary: "The same and counters since the start, in Prometheus' text format",
    responses: { "200": bytes("The metrics.", "text/plain", METRICS_EXAMPLE) },
  },
  "GET /livez": {
    summary: "Is the process up",
    responses: { "200": json("It is.", "Liveness", { status: "ok" }) },
  },
  "GET /readyz": {
    summary: "Can the process do its work; 503 within 3 s of no progress",
    responses: {
      "200": json("It can.", "Readiness", { status: "ready", reasons: [] }),
      "503": json("It cannot.", "Readiness", {
        status: "not_ready",
        reasons: ["The store does not answer."],
      }),
    },
  },
  "GET /openapi.json": {
    summary: "This description",
    responses: {
      "200": {
        description: "OpenAPI 3.1.",
        content: { "application/json": { schema: { type: "object" }, example: OPENAPI_EXAMPLE } },
      },
    },
  },
  "GET /docs": {
    summary: "This description as a page, to read and to try",
    responses: {
      "200": bytes("The page.", "text/html", PAGE_EXAMPLE),
      "304": { description: "The client's copy is the same." },
    },
  },
  "GET /docs/:file": {
    summary: "A script or style of that page",
    parameters: [PAGE_FILE],
    responses: {
      "200": {
        description: "The file.",
        content: {
          "text/javascript": { schema: { type: "string" }, example: 'showOrSay("");\n' },
          "text/css": { schema: { type: "string" }, example: "body {\n  margin: 0;\n}\n" },
        },
      },
      "304": { description: "The client's copy is the same." },
    },
  },
} as const satisfies Readonly<Record<string, Operation>>;
