import { parseArgs } from "node:util";

import { messageOf } from "../errors.ts";
import type { Quotas } from "../jobs/quotas.ts";
import { type ApiKey, isKeyId, type Scope, SCOPES } from "./api-key.ts";

/*
 * What the command that makes and revokes keys is asked, and what it shows.
 */

export const KEYS_USAGE = `job-runner keys: makes and revokes the API keys in JOB_DATA_DIR. Each running server sees a change with its next call.

Usage:
  bun run src/keys.ts create NAME [--scopes ${SCOPES.join(",")}] [--max-active N] [--submits-per-minute N] [--cpu-sec-per-day N]
  bun run src/keys.ts list
  bun run src/keys.ts revoke ID
  bun run src/keys.ts callback-secret ID

create prints the key, which nobody can show again. Without --scopes it may submit and read; without a quota it may use
as much as there is. From the first key on every call needs one, also once all are revoked. callback-secret prints what the
callbacks of a key's jobs are signed with, where CALLBACK_SECRET is set.
`;

const DEFAULT_SCOPES = "submit,read";

export type KeyCommand =
  | ({ readonly kind: "create" } & Pick<ApiKey, "name" | "scopes" | "quotas">)
  | { readonly kind: "list" }
  | { readonly kind: "revoke" | "callback-secret"; readonly id: string }
  | { readonly kind: "help" };

/** The arguments are no command: a sentence for who gave them. */
export class KeyUsageError extends Error {
  override readonly name = "KeyUsageError";
}

/** Throws KeyUsageError. */
export function parseKeyCommand(args: readonly string[]): KeyCommand {
  const { values, positionals } = parsed(args);
  const [kind, argument, ...more] = positionals;
  const { help, ...options } = values;
  if (help === true) return { kind: "help" };
  const hasOptions = Object.keys(options).length > 0;
  if (kind === "list" && argument === undefined && !hasOptions) return { kind };
  const isOfOne = kind === "revoke" || kind === "callback-secret";
  if (isOfOne && argument !== undefined && more.length === 0 && !hasOptions) {
    if (!isKeyId(argument))
      throw new KeyUsageError(`${JSON.stringify(argument)} is no id of a key: list shows them.`);
    return { kind, id: argument };
  }
  if (kind === "create" && argument !== undefined && more.length === 0) {
    if (!/^[^\p{Cc}]{1,100}$/u.test(argument))
      throw new KeyUsageError("A name has 1 to 100 characters, none of them a control character.");
    const scopes = scopesIn(options.scopes ?? DEFAULT_SCOPES);
    return { kind, name: argument, scopes, quotas: quotasIn(options) };
  }
  throw new KeyUsageError(
    "Say create NAME, list, revoke ID, or callback-secret ID; --help tells more.",
  );
}

const STRING = { type: "string" } as const;

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h" },
        scopes: STRING,
        "max-active": STRING,
        "submits-per-minute": STRING,
        "cpu-sec-per-day": STRING,
      },
    });
  } catch (error) {
    throw new KeyUsageError(messageOf(error), { cause: error });
  }
}

function scopesIn(text: string): readonly Scope[] {
  const words = text.split(",").map((word) => word.trim());
  const scopes = SCOPES.filter((scope) => words.includes(scope));
  if (scopes.length !== new Set(words).size)
    throw new KeyUsageError(
      `--scopes is ${JSON.stringify(text)}, but it should be a comma-separated list out of ${SCOPES.join(", ")}.`,
    );
  return scopes;
}

function quotasIn(options: Readonly<Record<string, string | boolean | undefined>>): Quotas {
  const quota = (name: string): number | null => {
    const text = options[name];
    if (text === undefined) return null;
    if (typeof text !== "string" || !/^\d{1,9}$/.test(text))
      throw new KeyUsageError(
        `--${name} is ${JSON.stringify(text)}, but it should be a whole number of at most 9 digits.`,
      );
    return Number(text);
  };
  return {
    maxActive: quota("max-active"),
    submitsPerMinute: quota("submits-per-minute"),
    cpuSecPerDay: quota("cpu-sec-per-day"),
  };
}

/** One line per key, in columns; never anything that opens a door. */
export function keyTable(keys: readonly ApiKey[]): string {
  const rows = keys.map(({ id, name, scopes, quotas, createdAtMs, revokedAtMs }) => [
    id,
    scopes.join(","),
    quotaText(quotas),
    dayOf(createdAtMs),
    revokedAtMs === null ? "good" : `revoked ${dayOf(revokedAtMs)}`,
    name,
  ]);
  const table = [["id", "scopes", "quotas", "created", "state", "name"], ...rows];
  const widths = table[0]?.map((_, column) =>
    Math.max(...table.map((row) => row[column]?.length ?? 0)),
  );
  const lineOf = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths?.[column] ?? 0))
      .join("  ")
      .trimEnd();
  return table.map((row) => `${lineOf(row)}\n`).join("");
}

function quotaText({ maxActive, submitsPerMinute, cpuSecPerDay }: Quotas): string {
  const each = [
    maxActive === null ? [] : [`${maxActive} active`],
    submitsPerMinute === null ? [] : [`${submitsPerMinute} submits/min`],
    cpuSecPerDay === null ? [] : [`${cpuSecPerDay} CPU s/day`],
  ].flat();
  return each.length === 0 ? "none" : each.join(", ");
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
