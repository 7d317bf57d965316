import { Type } from "@sinclair/typebox";

import { STREAM_NAMES } from "../jobs/log-entry.ts";
import { JOB_STATUSES } from "../jobs/states.ts";

/*
 * What requests are checked with, beside the spec of a job. The description and the typed client are made of it too, so
 * nothing of the server is imported here.
 */

/** The longest that one request waits. */
export const MAX_WAIT_SEC = 300;

/** Of a route that has no parameters: one that somebody sends all the same is refused, not ignored. */
export const NoQuery = Type.Object({}, { additionalProperties: false });

export const ListQuery = Type.Object(
  {
    status: Type.Optional(Type.Union(JOB_STATUSES.map((status) => Type.Literal(status)))),
    runtime: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    label: Type.Optional(Type.String({ pattern: "^[^:]+:", description: "a label as name:value" })),
    // Text, as everything in a query is.
    limit: Type.Optional(
      Type.String({
        pattern: "^([1-9]|[1-9][0-9]|1[0-9][0-9]|200)$",
        description: "a number from 1 to 200",
      }),
    ),
    cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
  },
  { additionalProperties: false },
);

export const JobQuery = Type.Object(
  {
    wait: Type.Optional(
      Type.String({
        pattern: "^([1-9]?[0-9]|[12][0-9][0-9]|300)$",
        description: `seconds to wait for the job's end, a whole number from 0 to ${MAX_WAIT_SEC}`,
      }),
    ),
  },
  { additionalProperties: false },
);

/** What part of a log is asked for: query parameters that all its readers have. */
const LogSelection = {
  stream: Type.Optional(
    Type.Union(
      STREAM_NAMES.map((name) => Type.Literal(name)),
      {
        description:
          "One of the program's outputs alone, or what its compiler or the installer of its dependencies printed",
      },
    ),
  ),
  attempt: Type.Optional(
    Type.String({
      pattern: "^(all|latest|[1-9][0-9]{0,5})$",
      description: "all, latest, or the number of one attempt",
    }),
  ),
};

export const SnapshotQuery = Type.Object(
  {
    ...LogSelection,
    tail: Type.Optional(
      Type.String({
        pattern: "^([1-9][0-9]{0,4}|100000)$",
        description: "a number of last lines from 1 to 100000",
      }),
    ),
    format: Type.Optional(Type.Union([Type.Literal("text"), Type.Literal("ndjson")])),
  },
  { additionalProperties: false },
);

export const StreamQuery = Type.Object(
  {
    ...LogSelection,
    format: Type.Optional(Type.Union([Type.Literal("plain"), Type.Literal("json")])),
    last_event_id: Type.Optional(Type.String({ maxLength: 100 })),
  },
  { additionalProperties: false },
);

export const ArtifactsQuery = Type.Object(
  {
    signed: Type.Optional(
      Type.String({
        pattern: "^([1-9][0-9]{0,3}|[1-7][0-9]{4}|8[0-5][0-9]{3}|86[0-3][0-9]{2}|86400)$",
        description:
          "seconds for which the URLs of the answer need no key, a whole number from 1 to 86400",
      }),
    ),
  },
  { additionalProperties: false },
);

/** What a signed URL has; the guard has checked it by the time that a route is reached. */
export const SignedQuery = Type.Object(
  {
    expires: Type.Optional(Type.String({ description: "Unix seconds" })),
    signature: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
);

/** `files` of a JSON body. */
export const InlineFilesSchema = Type.Array(
  Type.Object(
    {
      path: Type.String({ description: "Relative path, where the program finds the file." }),
      content: Type.String(),
      encoding: Type.Optional(Type.Union([Type.Literal("utf8"), Type.Literal("base64")])),
    },
    { additionalProperties: false },
  ),
);
