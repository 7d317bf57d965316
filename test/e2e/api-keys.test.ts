import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { openApiDocument } from "../../src/api/openapi.ts";
import type { JobJson } from "../support/client.ts";
import { rawRequest } from "../support/raw-http.ts";
import { removeDataDir, type RunningService, startService } from "../support/service.ts";

const KEYS = ["first-key", "second-key"];
/** Probes; and a page that holds nothing of this server until it was given a key. */
const OPEN_ROUTES = ["GET /livez", "GET /readyz", "GET /docs", "GET /docs/page.js"];

/** Every route there is, with parameters filled in. */
const ROUTES = Object.entries(openApiDocument().paths).flatMap(([path, item]) =>
  Object.keys(item).map((method) => {
    const filled = path
      .replace("{id}", "00000000-0000-4000-8000-000000000000")
      .replace("{filename}", "out.txt")
      .replace("{file}", "page.js");
    return `${method.toUpperCase()} ${filled}`;
  }),
);

let service: RunningService;

beforeAll(async () => {
  service = await startService({ env: { API_KEYS: KEYS.join(",") } });
}, 30_000);

afterAll(async () => {
  await service.stop();
  await removeDataDir(service.dataDir);
});

function call(route: string, headers: Record<string, string> = {}): Promise<Response> {
  const [method = "", path = ""] = route.split(" ");
  return fetch(`${service.url}${path}`, { method, headers });
}

describe("without a key", () => {
  for (const route of [...ROUTES, "GET /nowhere", "DELETE /jobs", "HEAD /jobs"])
    test(`${route} is ${OPEN_ROUTES.includes(route) ? "open" : "a 401"}`, async () => {
      const response = await call(route);
      if (OPEN_ROUTES.includes(route)) expect(response.status).toBe(200);
      else {
        expect(response.status).toBe(401);
        expect(response.headers.get("www-authenticate")).toStartWith("Bearer");
        expect(response.headers.get("content-type")).toBe("application/problem+json");
      }
    });
});

describe("with a key", () => {
  for (const route of ROUTES)
    test(`${route} is open to each key, in either header`, async () => {
      for (const key of KEYS)
        for (const headers of [{ Authorization: `Bearer ${key}` }, { "X-API-Key": key }]) {
          const response = await call(route, headers);
          expect(response.status).not.toBe(401);
          await response.body?.cancel();
        }
    });

  test("a job runs, under every Host", async () => {
    const form = new FormData();
    form.append("spec", '{"entry":"main.py"}');
    form.append("code_files", new Blob(["print('hello')"]), "main.py");
    const headers = { "X-API-Key": "second-key", Host: "jobs.example.com" };
    const response = await fetch(`${service.url}/jobs`, { method: "POST", headers, body: form });
    expect(response.status).toBe(202);
    const { id } = (await response.json()) as JobJson;
    const stream = await fetch(`${service.url}/jobs/${id}/logs/stream`, { headers });
    expect(await stream.text()).toContain("data: hello\n");
  });

  test("even a request without a Host is served", async () => {
    const head = "GET /health HTTP/1.0\r\nX-API-Key: first-key\r\n\r\n";
    expect((await rawRequest(service.url, head)).status).toBe(200);
  });

  test("a wrong one is a 401, whatever it looks like", async () => {
    for (const key of ["first", "first-keyy", "first-key,second-key", "FIRST-KEY", ""])
      expect((await call("GET /jobs", { "X-API-Key": key })).status).toBe(401);
    for (const value of ["first-key", "Basic first-key", "Bearer", "Bearer  first-key"])
      expect((await call("GET /jobs", { Authorization: value })).status).toBe(401);
  });

  test("a page of another site is refused although it has one", async () => {
    const headers = { "X-API-Key": "first-key", Origin: "https://evil.example" };
    expect((await call("GET /jobs", headers)).status).toBe(403);
  });
});

describe("without a key no route is reached by a path that looks open", () => {
  const id = "00000000-0000-4000-8000-000000000000";
  for (const host of ["localhost", "x?", "", "a b"])
    for (const path of [`/jobs/${id}/artifacts/../../../livez`, "//x/livez", "/livez/../jobs"])
      for (const method of ["GET", "HEAD"])
        test(`${method} ${path} for the host ${JSON.stringify(host)}`, async () => {
          const request = `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
          const { status, body } = await rawRequest(service.url, request);
          // Either it is /livez to the guard and to the router, or it needs a key.
          const isProbe = status === 200 && (method === "HEAD" || body === '{"status":"ok"}');
          expect([status, isProbe || status === 401]).toEqual([status, true]);
        });
});

test("no key is ever in the output", () => {
  for (const key of KEYS) expect(service.output()).not.toContain(key);
});
