import type { TObject } from "@sinclair/typebox";

import packageJson from "../../package.json" with { type: "json" };
import { ListQuery } from "./jobs.ts";
import { SnapshotQuery, StreamQuery } from "./logs.ts";
import {
  ARTIFACT_EXAMPLE,
  EXAMPLE_ID,
  METRICS_EXAMPLE,
  QUEUED_JOB,
  RUNTIMES_EXAMPLE,
  STATS_EXAMPLE,
  STREAM_EXAMPLE,
} from "./openapi-examples.ts";
import { SCHEMAS, type SchemaName } from "./openapi-schemas.ts";

/*
 * The API's description, OpenAPI 3.1. Its schemas are the ones that requests are checked with, or that the tests check
 * our answers against; a test compares its paths with the routes that the server really has.
 */

interface Answer {
  readonly description: string;
  readonly content?: Readonly<Record<string, object>>;
}

const ref = (name: SchemaName) => ({ $ref: `#/components/schemas/${name}` });

const json = (description: string, schema: SchemaName, example: object): Answer => ({
  description,
  content: { "application/json": { schema: ref(schema), example } },
});

const bytes = (description: string, type: string, example?: string): Answer => ({
  description,
  content: { [type]: { schema: { type: "string" }, ...(example !== undefined && { example }) } },
});

const PROBLEM: Answer = {
  description: "What was wrong; `code` is stable, `errors` point at fields.",
  content: {
    "application/problem+json": {
      schema: ref("Problem"),
      example: {
        type: "urn:job-runner:problem:not_found",
        title: "Not found",
        status: 404,
        detail: `There is no job "${EXAMPLE_ID}" (or no longer).`,
        instance: `/jobs/${EXAMPLE_ID}`,
        code: "not_found",
        errors: [],
        request_id: "8f9d3c0a-3a0e-4f4f-9a55-0d1f4a6a1b2c",
      },
    },
  },
};

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

const SUBMIT: Operation = {
  summary: "Submit a job",
  parameters: [
    {
      name: "Idempotency-Key",
      in: "header",
      required: false,
      description:
        "Sent again within 24 hours, while the first job is kept, with the same spec and files, it is answered with the first job.",
      schema: { type: "string", minLength: 1, maxLength: 255 },
    },
  ],
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
    },
  },
  responses: { "202": json("Stored and queued; it will end once.", "Job", QUEUED_JOB) },
};

const DOWNLOAD: Operation = {
  summary: "Download one artifact (ETag, Range); HEAD tells its size and type",
  parameters: [ID, FILENAME],
  responses: {
    "200": bytes("The file.", "application/octet-stream", "a,b\n1,2\n"),
    "206": bytes("The part asked for.", "application/octet-stream"),
    "304": { description: "The client's copy is the same." },
  },
};

/** Keyed as Elysia names its routes: `METHOD /path/:parameter`. */
const OPERATIONS: Readonly<Record<string, Operation>> = {
  "POST /jobs": SUBMIT,
  "GET /jobs": {
    summary: "List jobs, newest first",
    parameters: queryParameters(ListQuery),
    responses: {
      "200": json("A page of jobs.", "JobList", { items: [QUEUED_JOB], next_cursor: null }),
    },
  },
  "GET /jobs/:id": {
    summary: "A job's status and metadata",
    parameters: [ID],
    responses: { "200": json("The job.", "Job", QUEUED_JOB) },
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
    summary: "Everything printed so far, byte for byte",
    parameters: [ID, ...queryParameters(SnapshotQuery)],
    responses: { "200": bytes("The program's output.", "text/plain", "hello\n") },
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
  "GET /jobs/:id/artifacts/*": DOWNLOAD,
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

/** The document that GET /openapi.json answers. */
export function openApiDocument() {
  const paths: Record<string, Record<string, object>> = {};
  for (const [route, operation] of Object.entries(OPERATIONS)) {
    const [method = "", path = ""] = route.split(" ");
    const template = path.replace(/:(\w+)/g, "{$1}").replace("*", "{filename}");
    const item = (paths[template] ??= {});
    item[method.toLowerCase()] = {
      ...operation,
      responses: { ...operation.responses, default: PROBLEM },
    };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "job-runner",
      version: packageJson.version,
      description: packageJson.description,
      license: { name: "MIT", identifier: "MIT" },
    },
    paths,
    components: { schemas: SCHEMAS },
  };
}
