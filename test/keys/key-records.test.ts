import { expect, test } from "bun:test";

import { NO_QUOTAS } from "../../src/jobs/quotas.ts";
import { type ApiKey, newApiKey } from "../../src/keys/api-key.ts";
import { decodeKeys, encodeKeys } from "../../src/keys/key-records.ts";

function key(some: Partial<ApiKey> = {}): ApiKey {
  const made = newApiKey({ name: "ключ 🔑", scopes: ["submit", "read"], quotas: NO_QUOTAS }, 1_000);
  return { ...made.key, ...some };
}

test("keys are read as they were written", () => {
  const quotas = { maxActive: 1, submitsPerMinute: 0, cpuSecPerDay: 3600 };
  const keys = [key(), key({ quotas, scopes: ["admin"], revokedAtMs: 2_000 }), key({ scopes: [] })];
  expect(decodeKeys(encodeKeys(keys))).toEqual(keys);
  expect(decodeKeys(encodeKeys([]))).toEqual([]);
});

test("the file is JSON that an operator can read", () => {
  const text = encodeKeys([key({ id: "0123456789abcdef", sha256: "ab".repeat(32) })]);
  expect(JSON.parse(text)).toEqual({
    version: 1,
    keys: [
      {
        id: "0123456789abcdef",
        name: "ключ 🔑",
        sha256: "ab".repeat(32),
        scopes: ["submit", "read"],
        quotas: { max_active: null, submits_per_minute: null, cpu_sec_per_day: null },
        created_at: "1970-01-01T00:00:01.000Z",
        revoked_at: null,
      },
    ],
  });
});

test("whatever else stands in the file is refused, and not repeated in what is said", () => {
  const good = JSON.parse(encodeKeys([key()])) as { keys: [Record<string, unknown>] };
  const withKey = (some: object) =>
    JSON.stringify({ ...good, keys: [{ ...good.keys[0], ...some }] });
  for (const text of [
    "",
    "hunter2",
    "[]",
    "null",
    '{"version":1}',
    JSON.stringify({ ...good, version: 2 }),
    JSON.stringify({ ...good, more: "hunter2" }),
    withKey({ id: "hunter2" }),
    withKey({ sha256: "hunter2" }),
    withKey({ scopes: ["hunter2"] }),
    withKey({ scopes: "admin" }),
    withKey({ revoked_at: "hunter2" }),
    withKey({ revoked_at: undefined }),
    withKey({ created_at: 1 }),
    withKey({ quotas: {} }),
    withKey({ quotas: { max_active: -1, submits_per_minute: null, cpu_sec_per_day: null } }),
    withKey({ quotas: { max_active: 1.5, submits_per_minute: null, cpu_sec_per_day: null } }),
    withKey({ more: "hunter2" }),
  ]) {
    const error = (() => {
      try {
        return decodeKeys(text);
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(Error);
    expect(String(error)).not.toContain("hunter2");
  }
});
