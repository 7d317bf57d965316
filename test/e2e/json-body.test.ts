import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { type JobJson, snapshot, waitForEnd } from "../support/client.ts";
import { removeDataDir, type RunningService, startService } from "../support/service.ts";

let service: RunningService;
beforeAll(async () => {
  service = await startService({ env: { MAX_FILES: "3" } });
}, 30_000);
afterAll(async () => {
  await service.stop();
  await removeDataDir(service.dataDir);
});

const post = (body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${service.url}/jobs`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

const MAIN = { path: "main.py", content: "print(open('data.bin', 'rb').read())\n" };

test("a job comes as one JSON body, its files as text or base64", async () => {
  const data = { path: "data.bin", content: "AP8K", encoding: "base64" };
  const response = await post({ entry: "main.py", labels: { a: "b" }, files: [MAIN, data] });
  expect(response.status).toBe(202);
  const { id } = (await response.json()) as JobJson;
  expect(await waitForEnd(service.url, id)).toMatchObject({ status: "succeeded" });
  expect((await snapshot(service.url, id)).toString()).toBe("b'\\x00\\xff\\n'\n");
});

test("the same job in another form is the same to an Idempotency-Key", async () => {
  const key = { "Idempotency-Key": crypto.randomUUID() };
  const main = { path: "main.py", content: "print(1)\n" };
  const first = (await (await post({ entry: "main.py", files: [main] }, key)).json()) as JobJson;
  const form = new FormData();
  form.append("spec", '{"entry":"main.py"}');
  form.append("code_files", new Blob(["print(1)\n"]), "main.py");
  const again = await fetch(`${service.url}/jobs`, { method: "POST", headers: key, body: form });
  expect(((await again.json()) as JobJson).id).toBe(first.id);
  const other = { path: "main.py", content: Buffer.from("print(1)\n").toString("base64") };
  const encoded = { ...other, encoding: "base64" };
  const third = await post({ entry: "main.py", files: [encoded] }, key);
  expect(((await third.json()) as JobJson).id).toBe(first.id);
});

describe("what is wrong with a body is named by its place in it", () => {
  const job = { entry: "main.py", files: [{ path: "main.py", content: "" }] };
  for (const [how, body, status, pointer] of [
    ["no JSON", "{", 400, undefined],
    ["no object", "[]", 400, undefined],
    ["no UTF-8", "\u0000", 400, undefined],
    ["no entry", { files: job.files }, 422, "/entry"],
    ["an entry that is no file", { ...job, entry: "other.py" }, 422, "/entry"],
    ["an unknown member", { ...job, spec: {} }, 422, "/spec"],
    ["a limit above the ceiling", { ...job, limits: { memory_mb: 1e6 } }, 422, "/limits/memory_mb"],
    ["an unknown runtime", { ...job, runtime: "cobol" }, 422, "/runtime"],
    ["files that are no list", { ...job, files: {} }, 422, "/files"],
    ["a file without content", { ...job, files: [{ path: "a" }] }, 422, "/files/0/content"],
    [
      "an unknown encoding",
      { ...job, files: [{ ...MAIN, encoding: "hex" }] },
      422,
      "/files/0/encoding",
    ],
    [
      "no base64",
      { ...job, files: [{ path: "a", content: "A", encoding: "base64" }] },
      422,
      "/files/0/content",
    ],
    [
      "half a character",
      { ...job, files: [{ path: "a", content: "\ud800" }] },
      422,
      "/files/0/content",
    ],
    [
      "a path that leaves",
      { ...job, files: [{ path: "../a", content: "" }] },
      422,
      "/files/0/path",
    ],
    ["two files of one name", { ...job, files: [MAIN, MAIN] }, 422, "/files/1/path"],
    [
      "too many files",
      { ...job, files: ["a", "b", "c", "d"].map((path) => ({ path, content: "" })) },
      422,
      "/files",
    ],
  ] as const)
    test(how, async () => {
      const response = await post(body);
      const problem = (await response.json()) as {
        readonly errors: readonly { readonly pointer: string }[];
        readonly detail: string;
      };
      expect([response.status, problem.errors[0]?.pointer]).toEqual([status, pointer]);
      if (pointer !== undefined) expect(problem.detail).toStartWith(`${pointer}: `);
    });
});

test("a body that is too long for JSON is refused before it is read, and one that does not say so while it is", async () => {
  const long = JSON.stringify({ files: [{ path: "a", content: "x".repeat(17 * 1024 * 1024) }] });
  const announced = await post(long);
  expect(announced.status).toBe(413);
  expect(await announced.text()).toContain("multipart/form-data");
  const chunked = await fetch(`${service.url}/jobs`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: new Blob([long]).stream(),
  });
  expect(chunked.status).toBe(413);
});
