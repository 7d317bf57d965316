import { type Static, Type } from "@sinclair/typebox";
import { TypeCompiler } from "@sinclair/typebox/compiler";

import { AppError, type FieldError } from "../errors.ts";
import { type CallbackRules, resolveCallbackUrl } from "./callback-url.ts";
import { PRIORITIES, type ResolvedSpec } from "./job.ts";
import { type Bound, type Limits, MIB, type SpecBounds } from "./limits.ts";
import {
  checkHostPattern,
  type NetPolicy,
  type NetPolicyKind,
  netPolicyKind,
} from "./net-policy.ts";
import { checkRelativePath } from "./paths.ts";
import { describeSchemaError, escapePointer } from "./schema-errors.ts";

/** Linux passes no single argument or NAME=value string of 128 KiB or more (MAX_ARG_STRLEN), and 2 MiB in all by default. */
const MAX_STRING_BYTES = 128 * 1024 - 1;
const MAX_ARGUMENTS_BYTES = 1024 * 1024;
const MAX_STDIN_BYTES = MIB;
const MAX_LABELS = 32;
const MAX_ENV_NAMES = 1000;

const ENV_NAME = "^[A-Za-z_][A-Za-z0-9_]*$";

const closed = { additionalProperties: false };

/** What a client sends as `spec`. Bounds that depend on the configuration are checked in resolveSpec. */
export const JobSpecSchema = Type.Object(
  {
    entry: Type.String({
      minLength: 1,
      description: "Relative path of the file to run.",
    }),
    args: Type.Optional(
      Type.Array(Type.String(), {
        maxItems: 1024,
        description: "Passed to the program as they are, never through a shell.",
      }),
    ),
    timeout_sec: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        description: "Wall time, in seconds.",
      }),
    ),
    runtime: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 64,
        description: "A name from GET /runtimes; chosen by the entry's extension when absent.",
      }),
    ),
    net_policy: Type.Optional(
      Type.Union([
        Type.Literal("none"),
        Type.Literal("full"),
        Type.Object(
          { allow: Type.Array(Type.String(), { maxItems: 256 }) },
          { ...closed, title: '{"allow": [hosts]}' },
        ),
      ]),
    ),
    env: Type.Optional(
      Type.Record(Type.String({ pattern: ENV_NAME }), Type.String(), {
        ...closed,
        maxProperties: MAX_ENV_NAMES,
      }),
    ),
    stdin: Type.Optional(Type.String()),
    install: Type.Optional(
      Type.Boolean({
        description:
          "Installs what the code file names that GET /runtimes has as `installs`, before the program runs; needs a net_policy.",
      }),
    ),
    limits: Type.Optional(
      Type.Object(
        {
          memory_mb: Type.Optional(Type.Integer({ minimum: 1 })),
          cpu_sec: Type.Optional(Type.Integer({ minimum: 1 })),
          processes: Type.Optional(Type.Integer({ minimum: 1 })),
          disk_mb: Type.Optional(Type.Integer({ minimum: 1 })),
          output_mb: Type.Optional(Type.Integer({ minimum: 1 })),
        },
        closed,
      ),
    ),
    priority: Type.Optional(Type.Union(PRIORITIES.map((priority) => Type.Literal(priority)))),
    labels: Type.Optional(
      Type.Record(Type.String({ pattern: "^[^\\0:]{1,64}$" }), Type.String({ maxLength: 256 }), {
        ...closed,
        maxProperties: MAX_LABELS,
      }),
    ),
    callback_url: Type.Optional(
      Type.String({
        maxLength: 2048,
        description:
          "The job is POSTed to it once it has ended, signed as Standard Webhooks has it.",
      }),
    ),
  },
  closed,
);

type JobSpec = Static<typeof JobSpecSchema>;

const compiled = TypeCompiler.Compile(JobSpecSchema);

/** What this server's configuration says of specs. */
export interface SpecRules {
  readonly bounds: SpecBounds;
  /** What jobs may ask for of the network. */
  readonly netPolicies: readonly NetPolicyKind[];
  /** null: it tells nobody of a job's end. */
  readonly callbacks: CallbackRules | null;
}

/** A spec with defaults filled in; the runtime is still the client's wish, to be resolved against what is installed. */
export type CheckedSpec = Omit<ResolvedSpec, "runtime"> & {
  readonly runtime: string | undefined;
};

/**
 * Checks what a client sent as `spec` and fills in the defaults.
 * @throws AppError `invalid_spec` that names every field at fault by a JSON pointer below `/spec`.
 */
export function resolveSpec(sent: unknown, rules: SpecRules): CheckedSpec {
  const { bounds, netPolicies } = rules;
  if (!compiled.Check(sent)) throw invalidSpec(schemaErrors(sent));
  const entry = checkRelativePath(sent.entry);
  const netPolicy = resolveNetPolicy(sent.net_policy ?? "none", netPolicies);
  const callback = resolveCallbackUrl(sent.callback_url, rules.callbacks);
  const errors = [
    ...(entry.ok ? [] : [{ pointer: "/spec/entry", detail: entry.problem }]),
    ...netPolicy.errors,
    ...callback.errors,
    ...installErrors(sent, netPolicies),
    ...textErrors(sent),
    ...boundErrors(sent, bounds),
  ];
  if (errors.length > 0 || !entry.ok) throw invalidSpec(errors);
  const timeoutSec = sent.timeout_sec ?? bounds.timeoutSec.default;
  return {
    entry: entry.path,
    args: sent.args ?? [],
    timeoutMs: Math.ceil(timeoutSec * 1000),
    runtime: sent.runtime,
    netPolicy: netPolicy.policy,
    env: sent.env ?? {},
    stdin: sent.stdin ?? "",
    install: sent.install ?? false,
    limits: resolveLimits(sent, bounds, timeoutSec),
    priority: sent.priority ?? "normal",
    labels: sent.labels ?? {},
    ...(callback.url !== undefined && { callbackUrl: callback.url }),
  };
}

function resolveLimits(sent: JobSpec, bounds: SpecBounds, timeoutSec: number): Limits {
  const limits = sent.limits ?? {};
  // A run that was given more wall time than the default CPU time, and no CPU limit of its own, may compute all along.
  const cpuSec = Math.min(
    Math.max(bounds.cpuSec.default, Math.ceil(timeoutSec)),
    bounds.cpuSec.max,
  );
  return {
    memoryBytes: (limits.memory_mb ?? bounds.memoryMb.default) * MIB,
    cpuSec: limits.cpu_sec ?? cpuSec,
    processes: limits.processes ?? bounds.processes.default,
    diskBytes: (limits.disk_mb ?? bounds.diskMb.default) * MIB,
    outputBytes: (limits.output_mb ?? bounds.outputMb.default) * MIB,
  };
}

/** The policy in its one spelling, and what is wrong with what was sent. */
function resolveNetPolicy(
  sent: NetPolicy,
  permitted: readonly NetPolicyKind[],
): { readonly policy: NetPolicy; readonly errors: readonly FieldError[] } {
  const pointer = "/spec/net_policy";
  const kind = netPolicyKind(sent);
  const errors: FieldError[] = [];
  if (!permitted.includes(kind))
    errors.push({
      pointer,
      detail: `This server permits jobs ${listed(permitted)}, not ${JSON.stringify(kind)}; its operator says which by NET_POLICIES.`,
    });
  if (typeof sent === "string") return { policy: sent, errors };
  const allow = sent.allow.flatMap((given, index) => {
    const check = checkHostPattern(given);
    if (check.ok) return [check.pattern];
    errors.push({ pointer: `${pointer}/allow/${index}`, detail: check.problem });
    return [];
  });
  if (sent.allow.length === 0)
    errors.push({ pointer: `${pointer}/allow`, detail: 'The list names no host; "none" is that.' });
  return { policy: { allow }, errors };
}

function listed(kinds: readonly NetPolicyKind[]): string {
  return kinds.map((kind) => JSON.stringify(kind)).join(" and ");
}

function invalidSpec(fields: readonly FieldError[]): AppError {
  const first = fields[0];
  const message =
    first === undefined ? "The spec is not valid." : `${first.pointer}: ${first.detail}`;
  return new AppError("invalid_spec", message, { fields });
}

function schemaErrors(sent: unknown): FieldError[] {
  const byPointer = new Map<string, FieldError>();
  for (const error of compiled.Errors(sent)) {
    const pointer = `/spec${error.path}`;
    // The first complaint about a field is the one that says what is wrong with it.
    if (!byPointer.has(pointer))
      byPointer.set(pointer, { pointer, detail: describeSchemaError(error) });
    if (byPointer.size >= 20) break;
  }
  return [...byPointer.values()];
}

/** Whether there is somebody to install something is found out later, with the runtime. */
function installErrors(sent: JobSpec, permitted: readonly NetPolicyKind[]): FieldError[] {
  if (sent.install !== true || (sent.net_policy ?? "none") !== "none") return [];
  const hasNoNetwork = permitted.every((kind) => kind === "none");
  const detail = hasNoNetwork
    ? "Dependencies come from a network, which this server permits no job (NET_POLICIES): upload them as code files."
    : `Dependencies come from a network, and the job has none: set net_policy to what this server permits, ${listed(permitted.filter((kind) => kind !== "none"))}.`;
  return [{ pointer: "/spec/install", detail }];
}

function* stringsOf(sent: JobSpec): Generator<[pointer: string, text: string, maxBytes: number]> {
  for (const [index, argument] of (sent.args ?? []).entries())
    yield [`/spec/args/${index}`, argument, MAX_STRING_BYTES];
  for (const [name, value] of Object.entries(sent.env ?? {}))
    yield [`/spec/env/${name}`, value, MAX_STRING_BYTES - name.length - 1];
  for (const [name, value] of Object.entries(sent.labels ?? {})) {
    const pointer = `/spec/labels/${escapePointer(name)}`;
    yield [pointer, name, MAX_STRING_BYTES];
    yield [pointer, value, MAX_STRING_BYTES];
  }
  if (sent.stdin !== undefined) yield ["/spec/stdin", sent.stdin, MAX_STDIN_BYTES];
}

function textErrors(sent: JobSpec): FieldError[] {
  const errors: FieldError[] = [];
  let argumentsBytes = 0;
  for (const [pointer, text, maxBytes] of stringsOf(sent)) {
    const bytes = Buffer.byteLength(text);
    // A NUL would end a C string early, or become one more option of the sandbox. Standard input is data and may hold it.
    if (pointer !== "/spec/stdin") {
      argumentsBytes += bytes + 1;
      if (text.includes("\0")) errors.push({ pointer, detail: "The text contains a NUL." });
    }
    if (!text.isWellFormed()) errors.push({ pointer, detail: "The text is not valid Unicode." });
    if (bytes > maxBytes)
      errors.push({
        pointer,
        detail: `The text has ${bytes} bytes; at most ${maxBytes} fit.`,
      });
  }
  if (argumentsBytes > MAX_ARGUMENTS_BYTES)
    errors.push({
      pointer: "/spec/args",
      detail: `Arguments and environment have ${argumentsBytes} bytes; at most ${MAX_ARGUMENTS_BYTES} fit.`,
    });
  return errors;
}

function boundErrors(sent: JobSpec, bounds: SpecBounds): FieldError[] {
  const limits = sent.limits ?? {};
  const checks: [pointer: string, value: number | undefined, bound: Bound][] = [
    ["/spec/timeout_sec", sent.timeout_sec, bounds.timeoutSec],
    ["/spec/limits/memory_mb", limits.memory_mb, bounds.memoryMb],
    ["/spec/limits/cpu_sec", limits.cpu_sec, bounds.cpuSec],
    ["/spec/limits/processes", limits.processes, bounds.processes],
    ["/spec/limits/disk_mb", limits.disk_mb, bounds.diskMb],
    ["/spec/limits/output_mb", limits.output_mb, bounds.outputMb],
  ];
  return checks.flatMap(([pointer, value, bound]) =>
    value !== undefined && value > bound.max
      ? [
          {
            pointer,
            detail: `${value} is above this server's ceiling of ${bound.max}.`,
          },
        ]
      : [],
  );
}
