import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

import type { Quotas } from "../jobs/quotas.ts";

/*
 * An API key as its holder has it is `jr_<id>_<secret>`: the id names it in lists, logs and the store, and is no secret.
 * Of the rest only the SHA-256 is kept. A slow hash would protect nothing more: the secret is 32 random bytes, which nobody
 * guesses however fast he may try.
 */

/**
 * submit: POST jobs, cancel, repeat and remove own ones. read: everything that is asked with GET, of own jobs. stats: what
 * everybody's jobs come to. admin: everything, and everybody's jobs.
 */
export const SCOPES = ["submit", "read", "stats", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

/** What is kept of a key. */
export interface ApiKey {
  readonly id: string;
  /** What its operator calls it. */
  readonly name: string;
  /** Of the whole key, in hexadecimal. */
  readonly sha256: string;
  readonly scopes: readonly Scope[];
  readonly quotas: Quotas;
  readonly createdAtMs: number;
  /** null while it is good. */
  readonly revokedAtMs: number | null;
}

export function isKeyId(text: string): boolean {
  return /^[\da-f]{16}$/.test(text);
}

/** A new key: its text, which nobody can make again, and what is kept of it. */
export function newApiKey(
  { name, scopes, quotas }: Pick<ApiKey, "name" | "scopes" | "quotas">,
  nowMs: number,
): { readonly text: string; readonly key: ApiKey } {
  const id = randomBytes(8).toString("hex");
  const text = `jr_${id}_${randomBytes(32).toString("base64url")}`;
  const sha256 = digest(text).toString("hex");
  return {
    text,
    key: { id, name, sha256, scopes, quotas, createdAtMs: nowMs, revokedAtMs: null },
  };
}

/** The key, of those that are kept, whose text was given; null where there is none, or it was revoked. */
export function findApiKey(keys: ReadonlyMap<string, ApiKey>, given: string): ApiKey | null {
  const [, id = ""] = /^jr_([\da-f]{16})_[\w-]{43}$/.exec(given) ?? [];
  const key = keys.get(id);
  if (key === undefined || key.revokedAtMs !== null) return null;
  return timingSafeEqual(Buffer.from(key.sha256, "hex"), digest(given)) ? key : null;
}

/** Whether two secrets are the same, in a time that tells nothing of either. */
export function isSameSecret(a: string, b: string): boolean {
  return timingSafeEqual(digest(a), digest(b));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
