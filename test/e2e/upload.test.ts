import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type JobJson, runPython, snapshot, waitForEnd } from "../support/client.ts";
import { curl } from "../support/curl.ts";
import { untilEntries } from "../support/folder.ts";
import { fieldPart, filePart, MULTIPART, multipartBody } from "../support/multipart.ts";
import { removeDataDir, type RunningService, startService } from "../support/service.ts";

const MB = 1_000_000;
const SPEC = '{"entry":"main.py"}';
const PRINT_OK = "print('ok')\n";

let folder: string;
let service: RunningService;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "upload-test-"));
  await writeFile(join(folder, "main.py"), PRINT_OK);
  service = await startService({ env: { MAX_UPLOAD_MB: "100" } });
}, 30_000);

afterAll(async () => {
  await service.stop();
  await removeDataDir(service.dataDir);
  await rm(folder, { recursive: true, force: true });
});

const uploads = () => join(service.dataDir, ".uploads");
const uploadsAreGone = () => untilEntries(uploads(), (names) => names.length === 0);
const jobFolders = async () =>
  (await readdir(service.dataDir)).filter((name) => /^.{36}$/.test(name));

/** A file of zeros that takes no room on the disk. */
async function zeros(name: string, sizeBytes: number): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, "");
  await truncate(path, sizeBytes);
  return path;
}

/** The head of an upload and zeros without end. */
function endlessUpload(): ReadableStream<Uint8Array> {
  const head = fieldPart("spec", SPEC) + filePart("input_files", "endless.bin", "").trimEnd();
  let isOpen = false;
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(isOpen ? new Uint8Array(64 * 1024) : Buffer.from(`${head}\r\n\r\n`));
      isOpen = true;
    },
  });
}

async function peakMemoryKb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmHWM:\s*(\d+) kB/.exec(status)?.[1]);
}

function expectProblem(
  answer: { readonly status: number; readonly body: string },
  [status, code]: readonly [number, string],
): void {
  expect(answer.status).toBe(status);
  expect(JSON.parse(answer.body)).toMatchObject({ status, code });
}

describe("a large file", () => {
  let big: RunningService;

  beforeAll(async () => {
    big = await startService({ env: { MAX_UPLOAD_MB: "600", MAX_DISK_MB: "2048" } });
  }, 30_000);

  afterAll(async () => {
    await big.stop();
    await removeDataDir(big.dataDir);
  });

  test("of 500 MB passes through 150 MB of memory to a job that reads it", async () => {
    const source =
      "n = 0\nwith open('big.bin', 'rb') as f:\n  while c := f.read(1 << 20): n += len(c)\nprint(n)\n";
    await writeFile(join(folder, "size.py"), source);
    const fields = [
      'spec={"entry":"size.py","limits":{"disk_mb":1024}}',
      `code_files=@${join(folder, "size.py")}`,
      `input_files=@${await zeros("big.bin", 500 * MB)}`,
    ];
    const answer = await curl([...fields.flatMap((field) => ["-F", field]), `${big.url}/jobs`]);
    expect(answer.status).toBe(202);
    const { id } = JSON.parse(answer.body) as JobJson;
    expect(await waitForEnd(big.url, id)).toMatchObject({ status: "succeeded", artifacts: [] });
    expect((await snapshot(big.url, id)).toString()).toBe(`${500 * MB}\n`);
    expect(await peakMemoryKb(big.pid)).toBeLessThan(150_000);
  }, 60_000);
});

describe("a body above MAX_UPLOAD_MB", () => {
  test("that says its length is a 413 before it is sent", async () => {
    const path = await zeros("large.bin", 200 * MB);
    const answer = await curl([
      "-H",
      "Expect:",
      "-F",
      `input_files=@${path}`,
      `${service.url}/jobs`,
    ]);
    expect(answer).toMatchObject({ exitCode: 0, contentType: "application/problem+json" });
    expectProblem(answer, [413, "payload_too_large"]);
    await uploadsAreGone();
  });

  test("in chunks is a 413 for curl, and its partial files are gone", async () => {
    const path = await zeros("large.bin", 200 * MB);
    const answer = await curl([
      "-H",
      "Transfer-Encoding: chunked",
      "-F",
      `spec=${SPEC}`,
      "-F",
      `input_files=@${path}`,
      `${service.url}/jobs`,
    ]);
    expect(answer).toMatchObject({ exitCode: 0, contentType: "application/problem+json" });
    expectProblem(answer, [413, "payload_too_large"]);
    await uploadsAreGone();
  });

  test("without end is a 413 for curl", async () => {
    const args = [
      "-X",
      "POST",
      "-H",
      `Content-Type: ${MULTIPART}`,
      "-T",
      "-",
      `${service.url}/jobs`,
    ];
    const answer = await curl(args, endlessUpload());
    expect(answer.exitCode).toBe(0);
    expectProblem(answer, [413, "payload_too_large"]);
    await uploadsAreGone();
  });

  test("without end is a 413 for fetch", async () => {
    const response = await fetch(`${service.url}/jobs`, {
      method: "POST",
      headers: { "Content-Type": MULTIPART },
      body: endlessUpload(),
    });
    expectProblem({ status: response.status, body: await response.text() }, [
      413,
      "payload_too_large",
    ]);
    await uploadsAreGone();
  });
});

describe("an upload that is refused while it is being sent", () => {
  // Several times each: whether the answer is read before the connection ends would be a race.
  for (const [how, header] of [
    ["with its length", "Expect:"],
    ["in chunks", "Transfer-Encoding: chunked"],
  ] as const)
    test(`${how} shows curl the problem body`, async () => {
      const path = await zeros("refused.bin", 90 * MB);
      for (let round = 0; round < 5; round++) {
        const answer = await curl([
          "-H",
          header,
          "-F",
          "bogus=1",
          "-F",
          `input_files=@${path}`,
          `${service.url}/jobs`,
        ]);
        expect(answer).toMatchObject({ exitCode: 0, complaint: "" });
        expectProblem(answer, [422, "invalid_spec"]);
      }
      await uploadsAreGone();
    });

  test("leaves the connection's next request alone", async () => {
    const path = await zeros("refused.bin", 90 * MB);
    const answer = await curl([
      "-F",
      "bogus=1",
      "-F",
      `input_files=@${path}`,
      `${service.url}/jobs`,
      "--next",
      "-sS",
      "-o",
      join(folder, "health.json"),
      `${service.url}/health`,
    ]);
    expect(answer.exitCode).toBe(0);
    expect(await readFile(join(folder, "health.json"), "utf8")).toContain('"status":"ok"');
  });
});

test("a client that hangs up in mid-upload leaves nothing behind", async () => {
  const before = await jobFolders();
  const { hostname, port } = new URL(service.url);
  const socket = connect({ host: hostname, port: Number(port) });
  await once(socket, "connect");
  socket.on("error", () => undefined);
  const head = ["POST /jobs HTTP/1.1", "Host: localhost", `Content-Type: ${MULTIPART}`];
  const parts = multipartBody(fieldPart("spec", SPEC), filePart("code_files", "main.py"));
  socket.write(`${[...head, `Content-Length: ${50 * MB}`].join("\r\n")}\r\n\r\n`);
  socket.write(parts.slice(0, -20));
  // More than the kernel holds between the two: when all of it was taken, the server has read and written most of it.
  const taken = Promise.withResolvers<void>();
  socket.write(new Uint8Array(32 * MB), () => taken.resolve());
  await taken.promise;
  expect(await readdir(uploads())).toHaveLength(1);
  socket.destroy();
  await uploadsAreGone();
  expect(await jobFolders()).toEqual(before);
  expect((await runPython(service.url, PRINT_OK)).log).toBe("ok\n");
});

test("files fill the job's own disk in whole pages, and directories take none of it", async () => {
  const post = async (files: number) => {
    const body = new FormData();
    body.append("spec", '{"entry":"main.py","limits":{"disk_mb":1}}');
    body.append("code_files", new Blob([PRINT_OK]), "main.py");
    body.append("input_files", new Blob([]), "empty.txt");
    for (let file = 1; file < files; file += 1)
      body.append("input_files", new Blob(["x"]), `in/${file}/x.txt`);
    const response = await fetch(`${service.url}/jobs`, { method: "POST", body });
    return { status: response.status, answer: await response.json() };
  };
  const full = await post(256);
  expect(full.status).toBe(202);
  const { id } = full.answer as JobJson;
  expect(await waitForEnd(service.url, id)).toMatchObject({ status: "succeeded" });
  const refused = await post(257);
  expect(refused.status).toBe(422);
  expect(refused.answer).toMatchObject({ errors: [{ pointer: "/spec/limits/disk_mb" }] });
});

test("files above the job's own disk are refused, and gone", async () => {
  const before = await jobFolders();
  const body = new FormData();
  body.append("spec", '{"entry":"main.py","limits":{"disk_mb":1}}');
  body.append("code_files", new Blob([PRINT_OK]), "main.py");
  body.append("input_files", new Blob([new Uint8Array(2 * MB)]), "data.bin");
  const response = await fetch(`${service.url}/jobs`, { method: "POST", body });
  expect(response.status).toBe(422);
  expect(await response.json()).toMatchObject({ errors: [{ pointer: "/spec/limits/disk_mb" }] });
  await uploadsAreGone();
  expect(await jobFolders()).toEqual(before);
});
