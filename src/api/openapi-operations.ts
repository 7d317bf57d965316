import type { TObject } from "@sinclair/typebox";

import packageJson from "../../package.json" with { type: "json" };
import { JobQuery, ListQuery } from "./jobs.ts";
import { SnapshotQuery } from "./log-snapshot.ts";
import { StreamQuery } from "./logs.ts";
import {
  ARTIFACT_EXAMPLE,
  ENDED_JOB,
  EXAMPLE_ID,
  METRICS_EXAMPLE,
  NDJSON_EXAMPLE,
  QUEUED_JOB,
  RUNTIMES_EXAMPLE,
  STATS_EXAMPLE,
  STREAM_EXAMPLE,
} from "./openapi-examples.ts";
import type { SchemaName } from "./openapi-schemas.ts";
import { MAX_WAIT_SEC } from "./wait.ts";

/*
 * Every operation of the API, for its description. A test compares them with the routes that the server really has.
 */

/** One answer of an operation. */
export interface Answer {
  readonly description: string;
  readonly content?: Readonly<Record<string, object>>;
}

/** A reference to one of the document's schemas. */
export const ref = (name: SchemaName) => ({ $ref: `#/components/schemas/${name}` });

const json = (description: string, schema: SchemaName, example: object): Answer => ({
  description,
  content: { "application/json": { schema: ref(schema), example } },
});

const bytes = (description: string, type: string, example?: string): Answer => ({
  description,
  content: { [type]: { schema: { type: "string" }, ...(example !== undefined && { example }) } },
});

const ID = {
  name: "id",
  in: "path",
  required: true,
  schema: { type: "string" },
  example: EXAMPLE_ID,
};

const FILENAME = {
  name: "filename",
  in: "path",
  required: true,
  description: "The artifact's path; its slashes stay slashes.",
  schema: { type: "string" },
  example: "plots/result.csv",
};

function queryParameters(schema: TObject): object[] {
  return Object.entries(schema.properties).map(([name, property]) => ({
    name,
    in: "query",
    required: false,
    schema: property,
  }));
}

interface Operation {
  readonly summary: string;
  readonly parameters?: readonly object[];
  readonly requestBody?: object;
  /** By status; every operation may also answer with a problem. */
  readonly responses: Readonly<Record<string, Answer>>;
}

const SUBMIT_HEADERS = [
  {
    name: "Idempotency-Key",
    in: "header",
    required: false,
    description:
      "Sent again within 24 hours, while the first job is kept, with the same spec and files, it is answered with the first job.",
    schema: { type: "string", minLength: 1, maxLength: 255 },
  },
  {
    name: "Prefer",
    in: "header",
    required: false,
    description: `wait=N: where the job ends within N seconds (${MAX_WAIT_SEC} at most) the answer is 200 and has its output.`,
    schema: { type: "string" },
    example: "wait=30",
  },
];

const SUBMITTED: Operation["responses"] = {
  "200": json("It has ended in the time that the client prefers to wait.", "EndedJob", ENDED_JOB),
  "202": json("Stored and queued; it will end once.", "Job", QUEUED_JOB),
};

const SUBMIT: Operation = {
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
  responses: SUBMITTED,
};

const RANGE = {
  name: "Range",
  in: "header",
  required: false,
  description: "One range of bytes.",
  schema: { type: "string" },
  example: "bytes=0-99",
};

const DOWNLOADED: Operation["responses"] = {
  "200": bytes("The file.", "application/octet-stream", "a,b\n1,2\n"),
  "206": bytes("The part asked for.", "application/octet-stream"),
  "304": { description: "The client's copy is the same." },
};

/** Keyed as Elysia names its routes: `METHOD /path/:parameter`. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  "POST /jobs": SUBMIT,
  "GET /jobs": {
    summary: "List jobs, newest first",
    parameters: queryParameters(ListQuery),
    responses: {
      "200": json("A page of jobs.", "JobList", { items: [QUEUED_JOB], next_cursor: null }),
    },
  },
  "GET /jobs/:id": {
    summary: "A job's status and metadata; with `wait`, once it has ended or the time is over",
    parameters: [ID, ...queryParameters(JobQuery)],
    responses: { "200": json("The job.", "Job", QUEUED_JOB) },
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
    responses: { "200": bytes("The archive, made while it is sent.", "application/zip") },
  },
  "POST /jobs/:id/cancel": {
    summary: "Cancel a job: a queued one never runs, a running one is killed",
    parameters: [ID],
    responses: {
      "200": json("It had already ended, and is unchanged.", "Job", QUEUED_JOB),
      "202": json("It is cancelled, or about to be.", "Job", QUEUED_JOB),
    },
  },
  "GET /jobs/:id/logs": {
    summary: "Everything printed so far, byte for byte; or its last lines, a range, or its events",
    parameters: [ID, ...queryParameters(SnapshotQuery), RANGE],
    responses: {
      "200": {
        description: "The program's output.",
        content: {
          "text/plain": { schema: { type: "string" }, example: "hello\n" },
          "application/x-ndjson": { schema: { type: "string" }, example: NDJSON_EXAMPLE },
        },
      },
      "206": bytes("The range asked for.", "text/plain"),
    },
  },
  "GET /jobs/:id/logs/stream": {
    summary: "The same as Server-Sent Events, live; ends with `event: end`",
    parameters: [
      ID,
      ...queryParameters(StreamQuery),
      { name: "Last-Event-ID", in: "header", required: false, schema: { type: "string" } },
    ],
    responses: {
      "200": bytes("The stream.", "text/event-stream", STREAM_EXAMPLE),
      "204": { description: "The client has had the `end` event: nothing will come." },
    },
  },
  "GET /jobs/:id/artifacts": {
    summary: "The files that the run created or changed",
    parameters: [ID],
    responses: { "200": json("The list.", "ArtifactList", ARTIFACT_EXAMPLE) },
  },
  "GET /jobs/:id/artifacts/*": {
    summary: "Download one artifact (ETag, Range); HEAD tells its size and type",
    parameters: [ID, FILENAME, RANGE],
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
    responses: { "200": bytes("OpenAPI 3.1.", "application/json") },
  },
};
