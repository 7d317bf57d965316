import { expect, test } from "bun:test";

import { NO_QUOTAS } from "../../src/jobs/quotas.ts";
import {
  type ApiKey,
  findApiKey,
  isKeyId,
  isSameSecret,
  newApiKey,
} from "../../src/keys/api-key.ts";

function made(name = "ci") {
  return newApiKey({ name, scopes: ["submit"], quotas: NO_QUOTAS }, 1_795_490_446_190);
}

const byId = (...keys: readonly ApiKey[]) => new Map(keys.map((key) => [key.id, key]));

test("a key is its id and 32 random bytes, of which nothing but a hash is kept", () => {
  const { text, key } = made();
  const [, id = "", secret = ""] = /^jr_([\da-f]{16})_([\w-]{43})$/.exec(text) ?? [];
  expect(id).toBe(key.id);
  expect(isKeyId(id)).toBe(true);
  expect(Buffer.from(secret, "base64url")).toHaveLength(32);
  expect(JSON.stringify(key)).not.toContain(secret);
  expect(key).toEqual({
    id,
    name: "ci",
    sha256: new Bun.CryptoHasher("sha256").update(text).digest("hex"),
    scopes: ["submit"],
    quotas: NO_QUOTAS,
    createdAtMs: 1_795_490_446_190,
    revokedAtMs: null,
  });
  expect(made().text).not.toBe(text);
});

test("a key is found by its whole text and by nothing else", () => {
  const [one, two] = [made(), made()];
  const keys = byId(one.key, two.key);
  expect(findApiKey(keys, one.text)).toBe(one.key);
  expect(findApiKey(keys, two.text)).toBe(two.key);
  const secretOf = (text: string) => text.slice(20);
  for (const wrong of [
    "",
    one.key.id,
    one.key.sha256,
    one.text.slice(0, -1),
    `${one.text}A`,
    ` ${one.text}`,
    one.text.toUpperCase(),
    `jr_${one.key.id}_${secretOf(two.text)}`,
    `jr_${"0".repeat(16)}_${secretOf(one.text)}`,
  ])
    expect(findApiKey(keys, wrong)).toBeNull();
});

test("a revoked key is not found", () => {
  const { text, key } = made();
  expect(findApiKey(byId({ ...key, revokedAtMs: 1 }), text)).toBeNull();
});

test("an id is 16 hexadecimal digits", () => {
  for (const text of [
    "",
    "0123456789abcde",
    "0123456789abcdef0",
    "0123456789ABCDEF",
    "../../../../etc",
  ])
    expect(isKeyId(text)).toBe(false);
});

test("secrets are the same when every character is", () => {
  expect(isSameSecret("ab", "ab")).toBe(true);
  for (const other of ["", "a", "abc", "AB", "ba"]) expect(isSameSecret("ab", other)).toBe(false);
});
