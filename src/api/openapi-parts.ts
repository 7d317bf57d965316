import type { TObject } from "@sinclair/typebox";

import { EXAMPLE_ID } from "./openapi-examples.ts";
import type { SchemaName } from "./openapi-schemas.ts";
import { MAX_WAIT_SEC } from "./request-schemas.ts";

/*
 * What the operations in the API's description are made of.
 */

/** One answer of an operation. */
export interface Answer {
  readonly description: string;
  readonly headers?: Readonly<Record<string, object>>;
  readonly content?: Readonly<Record<string, object>>;
}

/** A reference to one of the document's schemas. */
export const ref = <Name extends SchemaName>(name: Name) =>
  ({ $ref: `#/components/schemas/${name}` }) as const;

export const json = <Name extends SchemaName>(
  description: string,
  schema: Name,
  example: object,
) => ({
  description,
  content: { "application/json": { schema: ref(schema), example } },
});

export const bytes = <MediaType extends string>(
  description: string,
  type: MediaType,
  example?: string,
) => ({
  description,
  content: {
    [type]: { schema: { type: "string" }, ...(example !== undefined && { example }) },
  } as Readonly<Record<MediaType, object>>,
});

/** One operation: what it is sent, and what it answers. */
export interface Operation {
  readonly summary: string;
  readonly parameters?: readonly object[];
  /** Parameters of the query, by the schema that a request is checked with. */
  readonly query?: TObject;
  readonly requestBody?: object;
  /** What this server sends to whom the request names, by name. */
  readonly callbacks?: Readonly<Record<string, object>>;
  /** By status, less the errors (openapi-errors.ts). */
  readonly responses: Readonly<Record<string, Answer>>;
}

export const ID = {
  name: "id",
  in: "path",
  required: true,
  schema: { type: "string" },
  example: EXAMPLE_ID,
};

export const FILENAME = {
  name: "filename",
  in: "path",
  required: true,
  description: "The file's path; its slashes stay slashes.",
  schema: { type: "string" },
  example: "plots/result.csv",
};

export const PAGE_FILE = {
  name: "file",
  in: "path",
  required: true,
  schema: { type: "string" },
  example: "page.js",
};

export const RANGE = {
  name: "Range",
  in: "header",
  required: false,
  // An example of its own would be sent by whoever tries a call on the page.
  description: "One range of bytes, such as bytes=0-99.",
  schema: { type: "string" },
};

const SIGNATURE_HEADERS = {
  "webhook-id": "The job's id, the same in every try.",
  "webhook-timestamp": "When it was sent, in Unix seconds.",
  "webhook-signature": "v1, and the HMAC-SHA256 of `id.timestamp.body` in base64.",
};

/** What a `callback_url` is sent (src/callbacks/). */
export const JOB_ENDED = {
  summary:
    "The job has ended; signed as Standard Webhooks has it, and sent again until it is answered",
  parameters: Object.entries(SIGNATURE_HEADERS).map(([name, description]) => ({
    name,
    in: "header",
    required: true,
    description,
    schema: { type: "string" },
  })),
  requestBody: {
    required: true,
    content: { "application/json": { schema: ref("Job") } },
  },
  responses: {
    "2XX": { description: "The client knows." },
    "410": { description: "It is not to be told of this job again." },
  },
};

export const SUBMIT_HEADERS = [
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
  {
    name: "traceparent",
    in: "header",
    required: false,
    description:
      "The trace that the job is to be part of (W3C Trace Context): its TRACEPARENT. A malformed one is ignored.",
    schema: { type: "string" },
  },
];
