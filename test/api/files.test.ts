import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { removeDataDir, type RunningService, startService } from "../support/service.ts";
import { type JobJson, runPython, submit, waitForEnd } from "../support/client.ts";

let service: RunningService;
let job: JobJson;

const NAMES = ["out.txt", "sub dir/ä#?%.csv", 'q"uo;te.html', "empty"];

beforeAll(async () => {
  service = await startService();
  const source = `import os
for name in ${JSON.stringify(NAMES)}:
  os.makedirs(os.path.dirname(name) or '.', exist_ok=True)
  open(name, 'w').write('' if name == 'empty' else '0123456789')
`;
  job = (await runPython(service.url, source)).job;
}, 30_000);

afterAll(async () => {
  await service.stop();
  await removeDataDir(service.dataDir);
});

function artifact(name: string) {
  const found = job.artifacts.find((each) => each.name === name);
  if (found === undefined) throw new Error(`No artifact ${name} in ${JSON.stringify(job)}`);
  return found;
}

const get = (name: string, headers: Record<string, string> = {}) =>
  fetch(`${service.url}${artifact(name).url}`, { headers });

for (const name of NAMES)
  test(`${name} is found under its own URL, for download only`, async () => {
    const response = await get(name);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-length")).toBe(String(artifact(name).size));
    expect(await response.text()).toBe(name === "empty" ? "" : "0123456789");
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    expect(response.headers.get("content-security-policy")).toContain("sandbox");
    expect(response.headers.get("etag")).toBe(`"${artifact(name).sha256}"`);
    const [, fallback, encoded = ""] =
      /^attachment; filename="([\w.-]+)"; filename\*=UTF-8''(\S+)$/.exec(
        response.headers.get("content-disposition") ?? "",
      ) ?? [];
    expect(fallback).toBeDefined();
    expect(decodeURIComponent(encoded)).toBe(name.slice(name.lastIndexOf("/") + 1));
  });

describe("a part", () => {
  for (const [range, text, contentRange] of [
    ["bytes=2-4", "234", "bytes 2-4/10"],
    ["bytes=7-", "789", "bytes 7-9/10"],
    ["bytes=-3", "789", "bytes 7-9/10"],
    ["bytes=8-99", "89", "bytes 8-9/10"],
  ] as const)
    test(`${range} is a 206`, async () => {
      const response = await get("out.txt", { range });
      expect(response.status).toBe(206);
      expect(response.headers.get("content-range")).toBe(contentRange);
      expect(response.headers.get("content-length")).toBe(String(text.length));
      expect(await response.text()).toBe(text);
    });

  test("is asked for of this version only", async () => {
    const { sha256 } = artifact("out.txt");
    const range = "bytes=0-1";
    expect((await get("out.txt", { range, "if-range": `"${sha256}"` })).status).toBe(206);
    const whole = await get("out.txt", { range, "if-range": '"other"' });
    expect(whole.status).toBe(200);
    expect(await whole.text()).toBe("0123456789");
  });
});

test("a copy that is the same is not sent again", async () => {
  const { sha256 } = artifact("out.txt");
  for (const tag of [`"${sha256}"`, `W/"${sha256}"`, `"x", "${sha256}"`, "*"]) {
    const response = await get("out.txt", { "if-none-match": tag });
    expect(response.status).toBe(304);
    expect(await response.text()).toBe("");
  }
  expect((await get("out.txt", { "if-none-match": '"x"' })).status).toBe(200);
});

test("HEAD tells the size without the bytes", async () => {
  const response = await fetch(`${service.url}${artifact("out.txt").url}`, { method: "HEAD" });
  expect(response.headers.get("content-length")).toBe("10");
  expect(await response.text()).toBe("");
});

describe("all artifacts as one archive", () => {
  test("are unpacked as they were", async () => {
    const response = await fetch(`${service.url}/jobs/${job.id}/artifacts.zip`);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/zip");
    expect(response.headers.get("content-disposition")).toContain(`${job.id}.zip`);
    const folder = await mkdtemp(join(tmpdir(), "job-runner-zip-"));
    try {
      const path = join(folder, "all.zip");
      await Bun.write(path, response);
      // Python's zipfile checks the checksums, and knows names that are UTF-8.
      const unpack = Bun.spawnSync(["python3", "-m", "zipfile", "-e", path, join(folder, "out")]);
      expect(unpack.stderr.toString()).toBe("");
      for (const name of NAMES)
        expect(await Bun.file(join(folder, "out", name)).text()).toBe(
          name === "empty" ? "" : "0123456789",
        );
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("of a job without any are an archive without any", async () => {
    const { job: bare } = await runPython(service.url, "print(1)");
    const response = await fetch(`${service.url}/jobs/${bare.id}/artifacts.zip`);
    // The end of central directory record alone (APPNOTE.TXT, section 4.3.16).
    expect((await response.bytes()).length).toBe(22);
  });

  test("are not there before the end", async () => {
    const running = await submit(service.url, {
      spec: { entry: "main.py" },
      code: { "main.py": "import time; time.sleep(60)" },
    });
    const response = await fetch(`${service.url}/jobs/${running.id}/artifacts.zip`);
    expect(response.status).toBe(404);
    await fetch(`${service.url}/jobs/${running.id}/cancel`, { method: "POST" });
    await waitForEnd(service.url, running.id);
  });
});

describe("an uploaded file", () => {
  const large = "0123456789".repeat(10_000);
  const getInput = (id: string, path: string, headers: Record<string, string> = {}) =>
    fetch(`${service.url}/jobs/${id}/files/${path}`, { headers });

  test("comes back as it was sent, small or large, and in parts", async () => {
    const { id } = await submit(service.url, {
      spec: { entry: "pkg/main.py" },
      code: { "pkg/main.py": "print(1)\n" },
      inputs: { "dä ta/large.txt": large },
    });
    await waitForEnd(service.url, id);
    const code = await getInput(id, "pkg/main.py");
    expect(code.headers.get("content-disposition")).toContain('filename="main.py"');
    expect(code.headers.get("x-content-type-options")).toBe("nosniff");
    expect(await code.text()).toBe("print(1)\n");
    expect(await (await getInput(id, encodeURI("dä ta/large.txt"))).text()).toBe(large);
    for (const [path, text] of [
      ["pkg/main.py", "int"],
      [encodeURI("dä ta/large.txt"), "234"],
    ] as const) {
      const part = await getInput(id, path, { range: "bytes=2-4" });
      expect([part.status, await part.text()]).toEqual([206, text]);
    }
  });

  test("that was not sent is a 404, whatever is called for", async () => {
    for (const path of ["none.py", "..%2f..%2fjobs.sqlite", "", "%2e%2e/main.py"])
      expect((await getInput(job.id, path)).status).toBe(404);
  });
});
