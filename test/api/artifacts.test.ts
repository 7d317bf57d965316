import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { removeDataDir, type RunningService, startService } from "../support/service.ts";
import { type JobJson, runPython } from "../support/client.ts";

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
