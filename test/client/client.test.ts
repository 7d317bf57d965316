import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { createClient } from "../../src/client/client.ts";
import { removeDataDir, type RunningService, startService } from "../support/service.ts";

/*
 * The client against a real service. That its types are right is said by the compiler, which checks this file: every `const`
 * with a type below is what the client says that it gives.
 */

const KEY = "the-key";
/** Eight bytes that are no text: the beginning of every PNG. */
const PNG_BYTES = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

let service: RunningService;
let client: ReturnType<typeof createClient>;

beforeAll(async () => {
  service = await startService({ env: { API_KEYS: KEY } });
  client = createClient(service.url, { apiKey: KEY });
}, 30_000);

afterAll(async () => {
  await service.stop();
  await removeDataDir(service.dataDir);
});

/** Runs a Python program to its end. */
async function run(content: string, labels: Record<string, string> = {}) {
  const { data, error } = await client.jobs.post(
    { entry: "main.py", labels, files: [{ path: "main.py", content }] },
    { headers: { Prefer: "wait=30" } },
  );
  if (error !== null) throw new Error(JSON.stringify(error.value));
  return data;
}

describe("a job", () => {
  test("is submitted, looked at and listed", async () => {
    const ended = await run("print('hello')", { kind: "first" });
    if (!("stdout" in ended)) throw new Error("It was not waited for");
    const stdout: string = ended.stdout;
    expect(stdout).toBe("hello\n");
    const { data: job } = await client.jobs({ id: ended.id }).get({ query: { wait: "20" } });
    const status:
      "queued" | "running" | "succeeded" | "failed" | "timed_out" | "cancelled" | "lost" =
      job?.status ?? "lost";
    expect(status).toBe("succeeded");
    const { data: page } = await client.jobs.get({ query: { label: "kind:first" } });
    const ids: readonly string[] = (page?.items ?? []).map(({ id }) => id);
    expect(ids).toEqual([ended.id]);
  });

  test("is removed", async () => {
    const { id } = await run("pass");
    expect((await client.jobs({ id }).delete()).status).toBe(204);
    expect((await client.jobs({ id }).get()).status).toBe(404);
  });
});

describe("what looks like something else stays what it is", () => {
  test.each(["42", "true", "2026-11-26", '{"a":1}', "null", ""])("a log of %j", async (line) => {
    const { id } = await run(`print(${JSON.stringify(line)})`);
    const { data } = await client.jobs({ id }).logs.get();
    const log: string | null = data;
    expect(log).toBe(`${line}\n`);
    const events = await client.jobs({ id }).logs.get({ query: { format: "ndjson" } });
    expect(events.data?.split("\n")).toContainEqual(expect.stringContaining('"event":"end"'));
  });

  test("a label, and a time", async () => {
    const { id } = await run("pass", { day: "2026-11-26", number: "42" });
    const { data: job } = await client.jobs({ id }).get();
    expect(job?.spec.labels).toEqual({ day: "2026-11-26", number: "42" });
    const createdAt: string | undefined = job?.created_at;
    expect(createdAt).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
  });

  test("an artifact, an uploaded file and an archive, as bytes", async () => {
    const source = `
import os
os.mkdir("plots")
for name in ("plots/a b.png", "data.json", "numbers.txt"):
    open(name, "wb").write(bytes(${JSON.stringify(PNG_BYTES)}))
`;
    const { id } = await run(source);
    const { data: list } = await client.jobs({ id }).artifacts.get();
    const names: readonly string[] = (list?.items ?? []).map(({ name }) => name);
    expect(names.toSorted()).toEqual(["data.json", "numbers.txt", "plots/a b.png"]);
    for (const name of names) {
      const filename = name.split("/").map(encodeURIComponent).join("/");
      const { data } = await client.jobs({ id }).artifacts({ filename }).get();
      const bytes: ArrayBuffer | null = data;
      expect([...new Uint8Array(bytes ?? new ArrayBuffer())]).toEqual(PNG_BYTES);
    }
    const uploaded = await client.jobs({ id }).files({ filename: "main.py" }).get();
    expect(new TextDecoder().decode(uploaded.data ?? undefined)).toBe(source);
    const archive = await client.jobs({ id })["artifacts.zip"].get();
    expect(new TextDecoder().decode(archive.data?.slice(0, 2))).toBe("PK");
  });
});

describe("an error", () => {
  test("is the problem, typed, by its status", async () => {
    const { data, error } = await client.jobs.post({ entry: "none.py", files: [] });
    expect(data).toBeNull();
    if (error?.status !== 422) throw new Error(`The status is ${error?.status}`);
    const code: string = error.value.code;
    expect(code).toBe("invalid_spec");
    const pointers: readonly string[] = error.value.errors.map(({ pointer }) => pointer);
    expect(pointers).toEqual(["/entry"]);
  });

  test("is the answer to a key that is missing", async () => {
    const { error } = await createClient(service.url).health.get();
    expect(error?.status).toBe(401);
  });
});

test("the server is described", async () => {
  const { data: runtimes } = await client.runtimes.get();
  const names: readonly string[] = (runtimes?.items ?? []).map(({ name }) => name);
  expect(names.length).toBeGreaterThan(0);
  const { data: stats } = await client.stats.get();
  const unfinished: number | null | undefined = stats?.unfinished;
  expect(unfinished).toBe(0);
  const { data: metrics } = await client.metrics.get();
  const text: string | null = metrics;
  expect(text).toContain("jobrunner_queue_depth");
});
