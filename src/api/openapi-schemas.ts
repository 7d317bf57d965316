import { type TSchema, Type } from "@sinclair/typebox";

import { REASONS } from "../jobs/outcome.ts";
import { JobSpecSchema } from "../jobs/spec.ts";
import { JOB_STATUSES } from "../jobs/states.ts";
import { InlineFilesSchema } from "./request-schemas.ts";

/** The shapes of our JSON answers, as the API description shows them; the tests check real answers against them. */

const closed = { additionalProperties: false };

const nullable = <Schema extends TSchema>(schema: Schema) => Type.Union([schema, Type.Null()]);
const oneOf = <Value extends string>(values: readonly Value[]) =>
  Type.Union(values.map((value) => Type.Literal(value)));
const time = Type.String({ format: "date-time" });
const count = Type.Integer({ minimum: 0 });

const Artifact = Type.Object(
  {
    name: Type.String(),
    size: count,
    type: Type.String(),
    sha256: Type.String(),
    url: Type.String(),
  },
  closed,
);

const Usage = Type.Object(
  { wall_ms: count, cpu_ms: count, peak_memory_bytes: nullable(count) },
  closed,
);

const jobMembers = {
  id: Type.String({ format: "uuid" }),
  status: oneOf(JOB_STATUSES),
  reason: nullable(oneOf(REASONS)),
  spec: JobSpecSchema,
  runtime: Type.Object({ name: Type.String(), version: Type.String() }, closed),
  traceparent: Type.Union([Type.String(), Type.Null()], {
    description:
      "The trace that the submit was part of (W3C Trace Context); null where it was in none.",
  }),
  attempt: count,
  created_at: time,
  started_at: nullable(time),
  finished_at: nullable(time),
  queue_position: nullable(count),
  exit_code: nullable(count),
  signal: nullable(Type.String()),
  oom: nullable(Type.Boolean()),
  usage: nullable(Usage),
  compile_usage: Type.Union([Usage, Type.Null()], {
    description: "What its compiler used; null where none ran for it.",
  }),
  install_usage: Type.Union([Usage, Type.Null()], {
    description: "The same of the installer of its dependencies.",
  }),
  log: Type.Object({ bytes: count, dropped_bytes: count }, closed),
  files: Type.Array(
    Type.Object(
      { name: Type.String(), role: oneOf(["code", "input"]), size: count, sha256: Type.String() },
      closed,
    ),
  ),
  artifacts: Type.Array(Artifact),
  warnings: Type.Array(Type.String()),
  error: nullable(Type.String()),
};

const Job = Type.Object(jobMembers, closed);

/** An answer that was waited for: the beginning of what the program printed comes with it. */
const EndedJob = Type.Object(
  {
    ...jobMembers,
    stdout: Type.String({ description: "Up to 1 MiB; bytes that are no UTF-8 are replaced." }),
    stderr: Type.String(),
    compiler: Type.String({ description: "What its compiler printed, if it was compiled for it." }),
    installer: Type.String({
      description: "What the installer of its dependencies printed, if it asked for one.",
    }),
    stdout_truncated: Type.Boolean({ description: "The log at /jobs/{id}/logs has more." }),
    stderr_truncated: Type.Boolean(),
    compiler_truncated: Type.Boolean(),
    installer_truncated: Type.Boolean(),
  },
  closed,
);

/** A job as one JSON body. */
const InlineJob = Type.Object(
  { ...JobSpecSchema.properties, files: InlineFilesSchema },
  { ...closed, description: "The members of a spec, and the files with their contents." },
);

const JobList = Type.Object(
  { items: Type.Array(Job), next_cursor: nullable(Type.String()) },
  closed,
);

const Bound = Type.Object({ default: Type.Number(), max: Type.Number() }, closed);

const Runtimes = Type.Object(
  {
    items: Type.Array(
      Type.Object(
        {
          name: Type.String(),
          version: Type.String(),
          aliases: Type.Array(Type.String()),
          extensions: Type.Array(Type.String()),
          compiles: Type.Boolean({ description: "Its programs are compiled before they run." }),
          installs: Type.Union([Type.String(), Type.Null()], {
            description:
              "The code file that a job with `install` must have; null: none can be installed.",
          }),
        },
        closed,
      ),
    ),
    absent: Type.Array(
      Type.Object(
        {
          name: Type.String(),
          hint: Type.String({ description: "How to get it onto the machine." }),
        },
        closed,
      ),
      {
        description:
          "Languages that could run here, and are not installed, or do not work; none before any was found.",
      },
    ),
    limits: Type.Record(Type.String(), Bound),
    net_policies: Type.Array(Type.String()),
  },
  closed,
);

const Health = Type.Object(
  {
    status: Type.String(),
    version: Type.String(),
    store: Type.Object({ kind: oneOf(["sqlite", "redis"]) }, closed),
    sandbox: Type.Object(
      {
        driver: nullable(oneOf(["bwrap", "none"])),
        ready: nullable(Type.Boolean()),
        problems: Type.Array(Type.String(), { description: "Why no job runs, with remedies." }),
        gaps: Type.Array(Type.String(), { description: "What could be stronger, with remedies." }),
        cgroup: nullable(oneOf(["v1", "v2"])),
        seccomp: nullable(Type.Boolean()),
      },
      closed,
    ),
  },
  closed,
);

const Slots = Type.Object({ total: count, busy: count }, closed);
const Workers = Type.Object({ count, slots: count }, closed);

const Stats = Type.Object(
  {
    version: Type.String(),
    uptime_sec: count,
    store: Type.Object({ kind: oneOf(["sqlite", "redis"]) }, closed),
    queue: nullable(
      Type.Object(
        {
          high: count,
          normal: count,
          low: count,
          total: count,
          oldest_wait_ms: nullable(count),
        },
        { ...closed, description: "null, as all that the store knows, while it does not answer." },
      ),
    ),
    running: nullable(count),
    unfinished: Type.Union([count, Type.Null()], {
      description: "Those that wait and those that run, together: what to scale workers by.",
    }),
    slots: nullable(Slots),
    workers: nullable(Workers),
    sse_clients: count,
  },
  closed,
);

const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    instance: Type.String(),
    code: Type.String(),
    errors: Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() }, closed)),
    request_id: Type.String(),
  },
  closed,
);

export const SCHEMAS = {
  JobSpec: JobSpecSchema,
  InlineJob,
  Job,
  EndedJob,
  JobList,
  ArtifactList: Type.Object(
    { items: Type.Array(Artifact), zip_url: Type.Optional(Type.String()) },
    closed,
  ),
  Runtimes,
  Health,
  Stats,
  Liveness: Type.Object({ status: Type.Literal("ok") }, closed),
  Readiness: Type.Object(
    { status: oneOf(["ready", "not_ready"]), reasons: Type.Array(Type.String()) },
    closed,
  ),
  Problem,
} as const;

export type SchemaName = keyof typeof SCHEMAS;
