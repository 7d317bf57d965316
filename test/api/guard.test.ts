import { describe, expect, test } from "bun:test";

import { type CallerPolicy, checkCaller, corsHeaders } from "../../src/api/guard.ts";
import { AppError } from "../../src/errors.ts";
import { NO_QUOTAS } from "../../src/jobs/quotas.ts";
import { type ApiKey, findApiKey, newApiKey, type Scope } from "../../src/keys/api-key.ts";
import { OPERATOR, URL_HOLDER } from "../../src/keys/caller.ts";
import { ANYBODY as OPEN } from "../support/api.ts";

const KEYED: CallerPolicy = { ...OPEN, apiKeys: ["first", "second"] };

interface Call {
  readonly path?: string;
  readonly method?: string;
}

/** As whose a call goes on. Throws what it is refused with. */
async function callerOf(
  policy: CallerPolicy,
  headers: Readonly<Record<string, string>>,
  { path = "/jobs", method = "GET" }: Call = {},
) {
  const request = new Request(`http://127.0.0.1:8000${path}`, {
    method,
    headers: { host: "127.0.0.1:8000", ...headers },
  });
  return await checkCaller(request, policy);
}

/** The code that a call is refused with, or null when it may go on. */
async function refusal(
  policy: CallerPolicy,
  headers: Readonly<Record<string, string>>,
  call: Call = {},
): Promise<string | null> {
  try {
    await callerOf(policy, headers, call);
    return null;
  } catch (error) {
    if (error instanceof AppError) return error.code;
    throw error;
  }
}

/** A key of the key file, and a server that knows it. */
function withKey(...scopes: readonly Scope[]) {
  const { text, key } = newApiKey({ name: "ci", scopes, quotas: NO_QUOTAS }, 0);
  return { key, headers: { "x-api-key": text }, policy: knowing(key) };
}

function knowing(...keys: readonly ApiKey[]): CallerPolicy {
  const byId = new Map(keys.map((key) => [key.id, key]));
  const known = { areNeeded: true, find: (given: string) => findApiKey(byId, given) };
  return { ...OPEN, keys: () => Promise.resolve(known) };
}

describe("a server without keys", () => {
  test("answers to every name of loopback, with or without a port", async () => {
    for (const host of ["localhost", "LOCALHOST:1", "app.localhost:8000", "127.0.0.1", "[::1]:80"])
      expect(await refusal(OPEN, { host })).toBeNull();
  });

  test("answers to no other name, unless it is allowed", async () => {
    for (const host of ["example.com", "127.0.0.1.example.com", "localhost.example.com:8000"]) {
      expect(await refusal(OPEN, { host })).toBe("forbidden_host");
      const allowedHosts = [host.replace(/:\d+$/, "").toUpperCase()];
      expect(await refusal({ ...OPEN, allowedHosts }, { host })).toBeNull();
    }
  });

  test("answers to its own pages and to none of another site", async () => {
    expect(await refusal(OPEN, { origin: "http://127.0.0.1:8000" })).toBeNull();
    expect(await refusal(OPEN, { "sec-fetch-site": "same-origin" })).toBeNull();
    expect(await refusal(OPEN, { "sec-fetch-site": "none" })).toBeNull();
    for (const origin of ["http://127.0.0.1:9", "https://example.com", "null", "not a URL"])
      expect(await refusal(OPEN, { origin })).toBe("forbidden_origin");
    for (const site of ["cross-site", "same-site"])
      expect(await refusal(OPEN, { "sec-fetch-site": site })).toBe("forbidden_origin");
  });

  test("answers probes under every name, and shows a page that tells nothing", async () => {
    for (const path of ["/livez", "/readyz", "/docs", "/docs/", "/docs/page.js"])
      expect(await refusal(OPEN, { host: "example.com" }, { path })).toBeNull();
    for (const path of ["/livez/x", "/docsx", "/docs/../jobs", "/openapi.json"])
      expect(await refusal(OPEN, { host: "example.com" }, { path })).toBe("forbidden_host");
  });
});

describe("a server with keys", () => {
  test("takes each of them, in either header, under every name", async () => {
    expect(await refusal(KEYED, { authorization: "Bearer first", host: "example.com" })).toBeNull();
    expect(await refusal(KEYED, { authorization: "bearer second" })).toBeNull();
    expect(await refusal(KEYED, { "x-api-key": "second" })).toBeNull();
  });

  test("refuses every other one, and none", async () => {
    for (const key of ["", "firs", "firstt", "First", "first,second"])
      expect(await refusal(KEYED, { "x-api-key": key })).toBe("unauthorized");
    expect(await refusal(KEYED, {})).toBe("unauthorized");
    expect(await refusal(KEYED, { authorization: "Basic first" })).toBe("unauthorized");
  });

  test("needs none for probes, for the page, and for a preflight of an allowed origin", async () => {
    for (const path of ["/readyz", "/docs", "/docs/page.js"])
      expect(await refusal(KEYED, {}, { path })).toBeNull();
    expect(await refusal(KEYED, {}, { path: "/openapi.json" })).toBe("unauthorized");
    const origin = "https://app.example.com";
    const policy = { ...KEYED, corsOrigins: [origin] };
    expect(await refusal(policy, { origin }, { method: "OPTIONS" })).toBeNull();
    expect(await refusal(policy, { origin })).toBe("unauthorized");
    expect(await refusal(KEYED, { origin }, { method: "OPTIONS" })).toBe("forbidden_origin");
  });
});

describe("a server with keys of its key file", () => {
  test("takes each as the caller that it makes, and a key of API_KEYS beside them as the operator", async () => {
    const { key, headers, policy } = withKey("submit", "read");
    expect(await callerOf(policy, headers)).toEqual({
      keyId: key.id,
      onlyJobsOf: key.id,
      scopes: ["submit", "read"],
      quotas: NO_QUOTAS,
    });
    const both = { ...policy, apiKeys: ["first"] };
    expect((await callerOf(both, headers))?.keyId).toBe(key.id);
    expect(await callerOf(both, { "x-api-key": "first" })).toBe(OPERATOR);
  });

  test("lets admin see everybody's jobs, and keeps its own apart", async () => {
    const { key, headers, policy } = withKey("admin");
    expect(await callerOf(policy, headers)).toMatchObject({ keyId: key.id, onlyJobsOf: null });
  });

  test("needs one under every name, also once all are revoked", async () => {
    const { key, headers, policy } = withKey("admin");
    expect(await refusal(policy, { ...headers, host: "example.com" })).toBeNull();
    expect(await refusal(policy, {})).toBe("unauthorized");
    const revoked = knowing({ ...key, revokedAtMs: 1 });
    expect(await refusal(revoked, headers)).toBe("unauthorized");
    expect(await refusal(revoked, {})).toBe("unauthorized");
    expect(await refusal(knowing(), headers)).toBe("unauthorized");
  });

  test("asks for the scope that a method needs", async () => {
    for (const [scope, allowed] of [
      ["read", ["GET", "HEAD"]],
      ["submit", ["POST", "DELETE", "PUT"]],
      ["stats", []],
      ["admin", ["GET", "HEAD", "POST", "DELETE", "PUT"]],
    ] as const) {
      const { headers, policy } = withKey(scope);
      for (const method of ["GET", "HEAD", "POST", "DELETE", "PUT"])
        expect([scope, method, await refusal(policy, headers, { method })]).toEqual([
          scope,
          method,
          (allowed as readonly string[]).includes(method) ? null : "forbidden_scope",
        ]);
    }
    const { headers, policy } = withKey();
    expect(await refusal(policy, headers)).toBe("forbidden_scope");
  });

  test("tells what all jobs together come to only with stats, and where no key is needed", async () => {
    for (const path of ["/stats", "/metrics", "/stats/", "/metrics/?x"]) {
      const { headers, policy } = withKey("submit", "read");
      expect(await refusal(policy, headers, { path })).toBe("forbidden_scope");
      for (const scope of ["stats", "admin"] as const) {
        const key = withKey(scope);
        expect(await refusal(key.policy, key.headers, { path })).toBeNull();
      }
      expect(await refusal(KEYED, { "x-api-key": "first" }, { path })).toBeNull();
      expect(await refusal(OPEN, {}, { path })).toBeNull();
    }
  });
});

describe("a signed URL", () => {
  const { policy } = withKey();
  const sign = (path: string) => policy.signer.sign(path, 60);

  test("of artifacts needs no key, no name and no origin", async () => {
    for (const path of ["/jobs/x/artifacts/a/b.txt", "/jobs/x/artifacts.zip"])
      for (const method of ["GET", "HEAD"]) {
        const headers = { host: "example.com", origin: "https://evil.example" };
        expect(await callerOf(policy, headers, { path: sign(path), method })).toBe(URL_HOLDER);
      }
  });

  test("of anything else, or by another method, is none", async () => {
    for (const path of ["/jobs", "/jobs/x", "/jobs/x/artifacts", "/jobs/x/artifacts/", "/stats"])
      expect(await refusal(policy, {}, { path: sign(path) })).toBe("unauthorized");
    const path = sign("/jobs/x/artifacts.zip");
    for (const method of ["POST", "DELETE", "PUT"])
      expect(await refusal(policy, {}, { path, method })).toBe("unauthorized");
  });

  test("that is wrong is refused as such, also on a server that needs no key", async () => {
    const path = `${sign("/jobs/x/artifacts.zip")}x`;
    for (const server of [policy, OPEN, KEYED])
      expect(await refusal(server, { "x-api-key": "first" }, { path })).toBe("forbidden_signature");
    expect(await refusal(OPEN, {}, { path: "/jobs/x/artifacts.zip" })).toBeNull();
  });
});

test("only a page of an allowed origin is told that it may read", () => {
  const origin = "https://app.example.com";
  const request = new Request("http://127.0.0.1:8000/jobs", { headers: { origin } });
  expect(corsHeaders(request, OPEN)).toEqual({});
  expect(corsHeaders(request, { ...OPEN, corsOrigins: [origin] })).toMatchObject({
    "Access-Control-Allow-Origin": origin,
    Vary: "Origin",
  });
});
