import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";

import type { BadRequest } from "../support/bad-request.ts";
import { BAD_BODIES } from "../support/bad-bodies.ts";
import { BAD_CALLS } from "../support/bad-calls.ts";
import { BAD_SPECS } from "../support/bad-specs.ts";
import { type JobJson, runPython } from "../support/client.ts";
import { rawRequest } from "../support/raw-http.ts";
import { removeDataDir, type RunningService, startService } from "../support/service.ts";

interface ProblemJson {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly errors: readonly { readonly pointer: string; readonly detail: string }[];
  readonly request_id: string;
}

let service: RunningService;
let firstJob: JobJson;

beforeAll(async () => {
  service = await startService({ env: { MAX_UPLOAD_MB: "6", MAX_FILES: "20" } });
  const { job } = await runPython(service.url, "open('out.txt', 'w').write('hello')");
  firstJob = job;
}, 30_000);

afterAll(async () => {
  await service.stop();
  await removeDataDir(service.dataDir);
});

async function expectRefusal(bad: BadRequest): Promise<void> {
  const answer = await bad.send({ url: service.url, jobId: firstJob.id });
  expect(answer.status).toBe(bad.status);
  expect(answer.contentType).toBe("application/problem+json");
  const problem = JSON.parse(answer.body) as ProblemJson;
  expect(problem).toMatchObject({ status: bad.status, code: bad.code });
  const pointers = problem.errors.map(({ pointer }) => pointer);
  if (bad.pointer === null) expect(pointers).toEqual([]);
  else expect(pointers).toContain(bad.pointer);
  // Sentences for the client, without a trace of our code.
  expect(problem.detail).not.toMatch(/\.ts:|node_modules/);
  expect(problem.request_id).not.toBe("");
}

for (const [about, table] of [
  ["a bad spec", BAD_SPECS],
  ["a bad body", BAD_BODIES],
  ["a bad call", BAD_CALLS],
] as const)
  describe(about, () => {
    for (const bad of table)
      test(`${bad.name} is a ${bad.status}`, async () => {
        await expectRefusal(bad);
        expect((await fetch(`${service.url}/health`)).status).toBe(200);
      });
  });

/* The HTTP parser refuses these before there is a request: an empty answer, and the connection ends. */
const UNPARSABLE: readonly (readonly [name: string, head: string, status: number])[] = [
  ["garbage in place of a request", "garbage\r\n\r\n", 400],
  ["HTTP/1.1 without a Host", "GET /health HTTP/1.1\r\n\r\n", 400],
  [
    "a negative Content-Length",
    "POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    400,
  ],
  [
    "two lengths (request smuggling)",
    "POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    400,
  ],
  [
    "100 KB of header",
    `GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: ${"x".repeat(100_000)}\r\n\r\n`,
    431,
  ],
];

describe("what is not HTTP", () => {
  for (const [name, head, status] of UNPARSABLE)
    test(`${name} is a ${status}`, async () => {
      expect((await rawRequest(service.url, head)).status).toBe(status);
      expect((await fetch(`${service.url}/health`)).status).toBe(200);
    });
});

test("HEAD answers as GET does, without a body", async () => {
  const url = `${service.url}/jobs/${firstJob.id}/artifacts/out.txt`;
  const found = await fetch(url, { method: "HEAD" });
  expect(found.status).toBe(200);
  expect(found.headers.get("content-length")).toBe("5");
  expect(await found.text()).toBe("");
  const missing = await fetch(`${url}.none`, { method: "HEAD" });
  expect(missing.status).toBe(404);
  expect(await missing.text()).toBe("");
  // A stream is opened, not read to its end.
  const stream = await fetch(`${service.url}/jobs/${firstJob.id}/logs/stream`, { method: "HEAD" });
  expect(stream.headers.get("content-type")).toBe("text/event-stream");
});

test("a 405 says what is allowed", async () => {
  const response = await fetch(`${service.url}/jobs`, { method: "PUT" });
  expect(response.headers.get("allow")).toBe("POST, GET, HEAD");
});

test("after all of them a good job succeeds, and nothing of a refused one is left", async () => {
  const { job, log } = await runPython(service.url, `print('still here')\n#${"x".repeat(20_000)}`);
  expect(job.status).toBe("succeeded");
  expect(log).toBe("still here\n");
  const entries = await readdir(service.dataDir, { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  expect(folders.sort()).toEqual([".uploads", firstJob.id, job.id].sort());
  expect(await readdir(join(service.dataDir, ".uploads"))).toEqual([]);
  const listing = (await (await fetch(`${service.url}/jobs`)).json()) as { items: JobJson[] };
  expect(listing.items.map(({ id }) => id)).toEqual([job.id, firstJob.id]);
  expect(service.output()).not.toContain("failed:");
});
