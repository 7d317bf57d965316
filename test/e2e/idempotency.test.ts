import { afterAll, describe, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";

import { eventually } from "../contract/store-harness.ts";
import { type JobJson, submissionForm, waitForEnd } from "../support/client.ts";
import { type Deployment, DEPLOYMENTS } from "../support/deployments.ts";
import { fieldPart, filePart, MULTIPART, multipartBody } from "../support/multipart.ts";
import { freshDataDir, removeDataDir, startService } from "../support/service.ts";

/** So big that a job which has it has a folder. */
const BIG = "x".repeat(20_000);

/** A POST /jobs under a key. */
async function send(url: string, key: string, { headers = {}, body }: Sent) {
  const response = await fetch(`${url}/jobs`, {
    method: "POST",
    headers: { "Idempotency-Key": key, ...headers },
    body,
  });
  return {
    status: response.status,
    replayed: response.headers.get("idempotent-replayed"),
    location: response.headers.get("location"),
    job: (await response.json()) as JobJson & { code?: string },
  };
}

interface Sent {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: FormData | ReadableStream<Uint8Array>;
}

/** Submits a Python job under a key. */
async function postTo(url: string, key: string, source: string, spec: object = {}) {
  const body = submissionForm({
    spec: { entry: "main.py", ...spec },
    code: { "main.py": source, "b.txt": BIG },
  });
  return await send(url, key, { body });
}

/** The same request as postTo's, of which `rest` sends the second half. */
function slowBody(source: string) {
  const text = multipartBody(
    fieldPart("spec", '{"entry":"main.py"}'),
    filePart("code_files", "b.txt", BIG),
    filePart("code_files", "main.py", source),
  );
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const middle = text.indexOf(source) + 1;
  const written = writer.write(Buffer.from(text.slice(0, middle)));
  return {
    sent: { headers: { "Content-Type": MULTIPART }, body: readable },
    rest: async () => {
      await written;
      await writer.write(Buffer.from(text.slice(middle)));
      await writer.close();
    },
  };
}

/** Folders of jobs, and uploads that are not settled. */
async function foldersIn(dataDir: string): Promise<readonly string[]> {
  const [jobs, uploads] = await Promise.all(
    [dataDir, `${dataDir}/.uploads`].map((path) => readdir(path)),
  );
  return [...(jobs ?? []).filter((name) => /^.{36}$/.test(name)), ...(uploads ?? [])];
}

describe.each(DEPLOYMENTS)("POST /jobs with an Idempotency-Key, on $name", ({ start }) => {
  let deployment: Deployment;
  const started = start().then((each) => (deployment = each));
  afterAll(async () => {
    await deployment.stop();
  }, 30_000);

  const post = async (key: string, source: string, spec: object = {}) => {
    const { api } = await started;
    return await postTo(api.url, key, source, spec);
  };
  const folders = async () => await foldersIn((await started).api.dataDir);

  test("a repeated request is answered with the first job, running or ended, and leaves no files", async () => {
    const first = await post("k1", "print('once')\n", { timeout_sec: 20, env: { A: "1", B: "2" } });
    expect(first).toMatchObject({ status: 202, replayed: null });
    const before = await folders();
    const again = await post("k1", "print('once')\n", { env: { B: "2", A: "1" }, timeout_sec: 20 });
    expect(again).toMatchObject({ status: 202, replayed: "true", location: first.location });
    const { api } = await started;
    const ended = await waitForEnd(api.url, first.job.id);
    expect(
      (await post("k1", "print('once')\n", { env: { B: "2", A: "1" }, timeout_sec: 20 })).job,
    ).toEqual(ended);
    expect(ended.attempt).toBe(1);
    expect(await folders()).toEqual(before);
  }, 30_000);

  test("the key with another spec or file is refused, and leaves nothing", async () => {
    await post("k2", "print(1)\n");
    const before = await folders();
    for (const other of [
      await post("k2", "print(2)\n"),
      await post("k2", "print(1)\n", { args: ["x"] }),
    ])
      expect(other).toMatchObject({ status: 422, job: { code: "idempotency_key_reused" } });
    expect(await folders()).toEqual(before);
  }, 30_000);

  test("many at the same time make one job", async () => {
    const before = await folders();
    const answers = await Promise.all(Array.from({ length: 10 }, () => post("k3", "print(3)\n")));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 202));
    expect(new Set(answers.map(({ job }) => job.id)).size).toBe(1);
    expect(answers.filter(({ replayed }) => replayed === null)).toHaveLength(1);
    expect((await folders()).length).toBe(before.length + 1);
  }, 30_000);

  test("one that comes while the first is still being sent makes the job for both", async () => {
    const { api } = await started;
    const before = await folders();
    const { sent, rest } = slowBody("print(4)\n");
    const slow = send(api.url, "k4", sent);
    await eventually(folders, ({ length }) => length > before.length);
    const quick = await post("k4", "print(4)\n");
    expect(quick).toMatchObject({ status: 202, replayed: null });
    await rest();
    const { location } = quick;
    expect(await slow).toMatchObject({ status: 202, replayed: "true", location });
    expect((await folders()).length).toBe(before.length + 1);
  }, 30_000);

  test("a key that is none is a 400 that names the header", async () => {
    const bad = await post("with a space", "print(1)\n");
    expect(bad).toMatchObject({ status: 400, job: { code: "bad_request" } });
    expect(JSON.stringify(bad.job)).toContain("/Idempotency-Key");
  });
});

describe("a request that is repeated after the server was started with other settings", () => {
  const dataDir = freshDataDir();
  afterAll(async () => await removeDataDir(await dataDir));
  /** The service with these settings, on the same data. */
  const withSettings = async <T>(
    env: Readonly<Record<string, string>>,
    use: (url: string) => Promise<T>,
  ): Promise<T> => {
    const api = await startService({ env, dataDir: await dataDir });
    try {
      return await use(api.url);
    } finally {
      await api.stop();
    }
  };

  test("is the same although a default is another one, and another although it comes to the same", async () => {
    const first = await withSettings({ DEFAULT_TIMEOUT_SEC: "60" }, (url) =>
      postTo(url, "k1", "print(1)\n"),
    );
    expect(first).toMatchObject({ status: 202, replayed: null });
    await withSettings({ DEFAULT_TIMEOUT_SEC: "30" }, async (url) => {
      const again = await postTo(url, "k1", "print(1)\n");
      expect(again).toMatchObject({ status: 202, replayed: "true", location: first.location });
      const other = await postTo(url, "k1", "print(1)\n", { timeout_sec: 60 });
      expect(other).toMatchObject({ status: 422, job: { code: "idempotency_key_reused" } });
    });
  }, 30_000);

  test("is answered with its job although a new one of its spec would be refused, and leaves no files", async () => {
    const spec = { timeout_sec: 600 };
    const { job } = await withSettings({}, async (url) => {
      const first = await postTo(url, "k2", "print(2)\n", spec);
      await waitForEnd(url, first.job.id);
      return first;
    });
    const before = await foldersIn(await dataDir);
    await withSettings({ MAX_TIMEOUT_SEC: "300" }, async (url) => {
      const again = await postTo(url, "k2", "print(2)\n", spec);
      expect(again).toMatchObject({ status: 202, replayed: "true", location: `/jobs/${job.id}` });
      expect(again.job).toMatchObject({ id: job.id, status: "succeeded" });
      const other = await postTo(url, "k3", "print(2)\n", spec);
      expect(other).toMatchObject({ status: 422, job: { code: "invalid_spec" } });
    });
    expect(await foldersIn(await dataDir)).toEqual(before);
  }, 30_000);
});
