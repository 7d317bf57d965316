import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";

import { openApiDocument } from "../../src/api/openapi.ts";
import type { Scope } from "../../src/keys/api-key.ts";
import { eventually } from "../contract/store-harness.ts";
import { type JobJson, submissionForm } from "../support/client.ts";
import { createKey, runKeys, type TestKey } from "../support/keys.ts";
import { parseLog } from "../support/recorded-log.ts";
import { removeDataDir, type RunningService, startService } from "../support/service.ts";

const OPEN_ROUTES = ["GET /livez", "GET /readyz", "GET /docs", "GET /docs/page.js"];

/** Every route there is that needs a key. */
const ROUTES = Object.entries(openApiDocument().paths)
  .flatMap(([path, item]) =>
    Object.keys(item).map((method) => {
      const filled = path
        .replace("{id}", "00000000-0000-4000-8000-000000000000")
        .replace("{filename}", "out.txt")
        .replace("{file}", "page.js");
      return `${method.toUpperCase()} ${filled}`;
    }),
  )
  .filter((route) => !OPEN_ROUTES.includes(route));

let service: RunningService;
let keys: Readonly<Record<Scope, TestKey>>;

beforeAll(async () => {
  service = await startService({ env: { LOG_LEVEL: "debug" } });
  const { dataDir } = service;
  keys = {
    submit: await createKey(dataDir, "producer", "--scopes", "submit"),
    read: await createKey(dataDir, "dashboard", "--scopes", "read"),
    stats: await createKey(dataDir, "prometheus", "--scopes", "stats"),
    admin: await createKey(dataDir, "admin", "--scopes", "admin"),
  };
}, 30_000);

afterAll(async () => {
  await service.stop();
  await removeDataDir(service.dataDir);
});

/** The lines that the service has written whole. */
function logged() {
  return parseLog(service.output().replace(/[^\n]*$/, ""));
}

async function as({ headers }: TestKey, route: string, init: RequestInit = {}) {
  const [method = "", path = ""] = route.split(" ");
  const given = init.headers as Record<string, string> | undefined;
  return await fetch(`${service.url}${path}`, {
    ...init,
    method,
    headers: { ...headers, ...given },
  });
}

/** These tell of everybody's jobs together. */
const STATS_ROUTES = ["GET /stats", "GET /metrics", "HEAD /stats", "GET /stats/", "GET /metrics/"];

function scopeFor(route: string): Scope {
  if (STATS_ROUTES.includes(route)) return "stats";
  return /^(GET|HEAD) /.test(route) ? "read" : "submit";
}

describe("a key without the scope that a route needs", () => {
  const more = ["GET /nowhere", "HEAD /jobs", "PUT /jobs", ...STATS_ROUTES];
  for (const route of new Set([...ROUTES, ...more])) {
    const needed = scopeFor(route);
    test(`${route} is refused, and told ${needed}`, async () => {
      const others = (["submit", "read", "stats"] as const).filter((scope) => scope !== needed);
      for (const scope of others) {
        const response = await as(keys[scope], route);
        expect(response.status).toBe(403);
        const text = await response.text();
        if (route.startsWith("HEAD")) continue;
        expect(JSON.parse(text)).toMatchObject({
          code: "forbidden_scope",
          detail: expect.stringContaining(`"${needed}"`),
        });
      }
    });
    test(`${route} is not refused with it, nor to admin`, async () => {
      for (const key of [keys[needed], keys.admin]) {
        const response = await as(key, route);
        expect([401, 403]).not.toContain(response.status);
        await response.body?.cancel();
      }
    });
  }
});

test("who may not read is not told what its job has printed", async () => {
  const body = () =>
    submissionForm({ spec: { entry: "main.py" }, code: { "main.py": "print('secret')\n" } });
  const headers = { Prefer: "wait=20" };
  const blind = await as(keys.submit, "POST /jobs", { body: body(), headers });
  expect(blind.status).toBe(202);
  expect(await blind.json()).not.toHaveProperty("stdout");
  const seeing = await as(keys.admin, "POST /jobs", { body: body(), headers });
  expect(seeing.status).toBe(200);
  expect(await seeing.json()).toMatchObject({ stdout: "secret\n" });
}, 30_000);

test("the service's log names who made a request by the key's id alone", async () => {
  const response = await as(keys.read, "GET /jobs");
  const requestId = response.headers.get("x-request-id") ?? "";
  const lineOf = () => Promise.resolve(logged().find((line) => line.request_id === requestId));
  expect(await eventually(lineOf, (line) => line !== undefined)).toMatchObject({
    key_id: keys.read.id,
  });
  for (const { text } of Object.values(keys)) expect(service.output()).not.toContain(text);
});

test("a revoked key is refused from then on, and its jobs stay", async () => {
  const key = await createKey(service.dataDir, "leaver");
  const body = submissionForm({ spec: { entry: "main.py" }, code: { "main.py": "print(1)\n" } });
  const { id } = (await (await as(key, "POST /jobs", { body })).json()) as JobJson;
  expect((await as(key, `GET /jobs/${id}`)).status).toBe(200);
  expect((await runKeys(service.dataDir, ["revoke", key.id])).exitCode).toBe(0);
  expect((await as(key, `GET /jobs/${id}`)).status).toBe(401);
  expect((await as(keys.admin, `GET /jobs/${id}`)).status).toBe(200);
}, 30_000);

test("while the key file cannot be read the last good keys stay, and the log says why", async () => {
  const path = join(service.dataDir, "keys.json");
  const good = await Bun.file(path).text();
  const unreadable = () =>
    Promise.resolve(logged().find(({ event }) => event === "keys_unreadable"));
  await Bun.write(path, "{");
  expect((await as(keys.read, "GET /jobs")).status).toBe(200);
  expect((await fetch(`${service.url}/jobs`)).status).toBe(401);
  expect(await eventually(unreadable, (line) => line !== undefined)).toMatchObject({
    level: "error",
    message: expect.stringContaining(path),
  });
  await Bun.write(path, good);
});
