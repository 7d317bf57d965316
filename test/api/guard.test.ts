import { describe, expect, test } from "bun:test";

import { type CallerPolicy, checkCaller, corsHeaders } from "../../src/api/guard.ts";
import { AppError } from "../../src/errors.ts";

const OPEN: CallerPolicy = { apiKeys: [], allowedHosts: [], corsOrigins: [] };
const KEYED: CallerPolicy = { ...OPEN, apiKeys: ["first", "second"] };

/** The code that a call is refused with, or null when it may go on. */
function refusal(
  policy: CallerPolicy,
  headers: Readonly<Record<string, string>>,
  { path = "/jobs", method = "GET" } = {},
): string | null {
  const request = new Request(`http://127.0.0.1:8000${path}`, {
    method,
    headers: { host: "127.0.0.1:8000", ...headers },
  });
  try {
    checkCaller(request, policy);
    return null;
  } catch (error) {
    if (error instanceof AppError) return error.code;
    throw error;
  }
}

describe("a server without keys", () => {
  test("answers to every name of loopback, with or without a port", () => {
    for (const host of ["localhost", "LOCALHOST:1", "app.localhost:8000", "127.0.0.1", "[::1]:80"])
      expect(refusal(OPEN, { host })).toBeNull();
  });

  test("answers to no other name, unless it is allowed", () => {
    for (const host of ["example.com", "127.0.0.1.example.com", "localhost.example.com:8000"]) {
      expect(refusal(OPEN, { host })).toBe("forbidden_host");
      const allowedHosts = [host.replace(/:\d+$/, "").toUpperCase()];
      expect(refusal({ ...OPEN, allowedHosts }, { host })).toBeNull();
    }
  });

  test("answers to its own pages and to none of another site", () => {
    expect(refusal(OPEN, { origin: "http://127.0.0.1:8000" })).toBeNull();
    expect(refusal(OPEN, { "sec-fetch-site": "same-origin" })).toBeNull();
    expect(refusal(OPEN, { "sec-fetch-site": "none" })).toBeNull();
    for (const origin of ["http://127.0.0.1:9", "https://example.com", "null", "not a URL"])
      expect(refusal(OPEN, { origin })).toBe("forbidden_origin");
    for (const site of ["cross-site", "same-site"])
      expect(refusal(OPEN, { "sec-fetch-site": site })).toBe("forbidden_origin");
  });

  test("answers probes under every name, and shows a page that tells nothing", () => {
    for (const path of ["/livez", "/readyz", "/docs", "/docs/", "/docs/page.js"])
      expect(refusal(OPEN, { host: "example.com" }, { path })).toBeNull();
    for (const path of ["/livez/x", "/docsx", "/docs/../jobs", "/openapi.json"])
      expect(refusal(OPEN, { host: "example.com" }, { path })).toBe("forbidden_host");
  });
});

describe("a server with keys", () => {
  test("takes each of them, in either header, under every name", () => {
    expect(refusal(KEYED, { authorization: "Bearer first", host: "example.com" })).toBeNull();
    expect(refusal(KEYED, { authorization: "bearer second" })).toBeNull();
    expect(refusal(KEYED, { "x-api-key": "second" })).toBeNull();
  });

  test("refuses every other one, and none", () => {
    for (const key of ["", "firs", "firstt", "First", "first,second"])
      expect(refusal(KEYED, { "x-api-key": key })).toBe("unauthorized");
    expect(refusal(KEYED, {})).toBe("unauthorized");
    expect(refusal(KEYED, { authorization: "Basic first" })).toBe("unauthorized");
  });

  test("needs none for probes, for the page, and for a preflight of an allowed origin", () => {
    for (const path of ["/readyz", "/docs", "/docs/page.js"])
      expect(refusal(KEYED, {}, { path })).toBeNull();
    expect(refusal(KEYED, {}, { path: "/openapi.json" })).toBe("unauthorized");
    const origin = "https://app.example.com";
    const policy = { ...KEYED, corsOrigins: [origin] };
    expect(refusal(policy, { origin }, { method: "OPTIONS" })).toBeNull();
    expect(refusal(policy, { origin })).toBe("unauthorized");
    expect(refusal(KEYED, { origin }, { method: "OPTIONS" })).toBe("forbidden_origin");
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
