import { type Static, Type } from "@sinclair/typebox";
import { TypeCompiler } from "@sinclair/typebox/compiler";

import { type ApiKey, SCOPES } from "./api-key.ts";

/*
 * How keys look in their file: JSON that an operator can read, with nothing in it that opens a door.
 */

const closed = { additionalProperties: false };
const quota = Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]);
const time = Type.String({ pattern: String.raw`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$` });

const KeyFile = Type.Object(
  {
    version: Type.Literal(1),
    keys: Type.Array(
      Type.Object(
        {
          id: Type.String({ pattern: "^[0-9a-f]{16}$" }),
          name: Type.String(),
          sha256: Type.String({ pattern: "^[0-9a-f]{64}$" }),
          scopes: Type.Array(Type.Union(SCOPES.map((scope) => Type.Literal(scope)))),
          quotas: Type.Object(
            { max_active: quota, submits_per_minute: quota, cpu_sec_per_day: quota },
            closed,
          ),
          created_at: time,
          revoked_at: Type.Union([time, Type.Null()]),
        },
        closed,
      ),
    ),
  },
  closed,
);
type KeyFile = Static<typeof KeyFile>;
const compiled = TypeCompiler.Compile(KeyFile);

export function encodeKeys(keys: readonly ApiKey[]): string {
  const file: KeyFile = {
    version: 1,
    keys: keys.map(({ id, name, sha256, scopes, quotas, createdAtMs, revokedAtMs }) => ({
      id,
      name,
      sha256,
      scopes: [...scopes],
      quotas: {
        max_active: quotas.maxActive,
        submits_per_minute: quotas.submitsPerMinute,
        cpu_sec_per_day: quotas.cpuSecPerDay,
      },
      created_at: timeText(createdAtMs),
      revoked_at: revokedAtMs === null ? null : timeText(revokedAtMs),
    })),
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

/** Throws an Error that says what is wrong, and never what is in the text. */
export function decodeKeys(text: string): readonly ApiKey[] {
  const file = parse(text);
  const problem = compiled.Errors(file).First();
  if (problem !== undefined) throw new Error(`${problem.path || "/"}: ${problem.message}`);
  return (file as KeyFile).keys.map(({ quotas, created_at, revoked_at, ...key }) => ({
    ...key,
    quotas: {
      maxActive: quotas.max_active,
      submitsPerMinute: quotas.submits_per_minute,
      cpuSecPerDay: quotas.cpu_sec_per_day,
    },
    createdAtMs: Date.parse(created_at),
    revokedAtMs: revoked_at === null ? null : Date.parse(revoked_at),
  }));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new Error("It is not JSON");
  }
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
