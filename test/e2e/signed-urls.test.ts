import { afterAll, beforeAll, expect, test } from "bun:test";
import { statSync } from "node:fs";
import { join } from "node:path";

import { eventually } from "../contract/store-harness.ts";
import { type JobJson, submissionForm } from "../support/client.ts";
import { createKey, type TestKey } from "../support/keys.ts";
import {
  freshDataDir,
  removeDataDir,
  type RunningService,
  startService,
} from "../support/service.ts";

const SOURCE = `import os
os.makedirs("a dir")
open("a dir/ü ~'1.txt", "w").write("0123456789")
open("out.txt", "w").write("out")
`;

interface ArtifactList {
  readonly items: readonly { readonly name: string; readonly url: string }[];
  readonly zip_url?: string;
}

let dataDir: string;
let service: RunningService;
let key: TestKey;
let id: string;

beforeAll(async () => {
  dataDir = await freshDataDir();
  key = await createKey(dataDir, "ci");
  service = await startService({ dataDir });
  const body = submissionForm({ spec: { entry: "main.py" }, code: { "main.py": SOURCE } });
  const submitted = await call("/jobs", { method: "POST", body, headers: key.headers });
  ({ id } = (await submitted.json()) as JobJson);
  await (await call(`/jobs/${id}/logs/stream`, { headers: key.headers })).text();
}, 30_000);

afterAll(async () => {
  await service.stop();
  await removeDataDir(dataDir);
});

const call = (path: string, init: RequestInit = {}) => fetch(`${service.url}${path}`, init);

async function signed(validSec = 60): Promise<Required<ArtifactList>> {
  const response = await call(`/jobs/${id}/artifacts?signed=${validSec}`, { headers: key.headers });
  expect(response.headers.get("cache-control")).toBe("no-store");
  return (await response.json()) as Required<ArtifactList>;
}

async function codeOf(response: Response): Promise<string> {
  const { code } = (await response.json()) as { readonly code: string };
  return `${response.status} ${code}`;
}

test("without `signed` URLs need a key, and there is none of the archive", async () => {
  const list = (await (
    await call(`/jobs/${id}/artifacts`, { headers: key.headers })
  ).json()) as ArtifactList;
  expect(list.zip_url).toBeUndefined();
  for (const { url } of list.items) {
    expect(url).not.toContain("?");
    expect((await call(url)).status).toBe(401);
    expect((await call(url, { headers: key.headers })).status).toBe(200);
  }
});

test("a signed URL gives its file to whoever has it, from wherever, as one with a key does", async () => {
  const { items, zip_url } = await signed();
  expect(items.map(({ name }) => name).toSorted()).toEqual(["a dir/ü ~'1.txt", "out.txt"]);
  for (const { name, url } of items) {
    const text = name === "out.txt" ? "out" : "0123456789";
    for (const headers of [
      {},
      key.headers,
      { Origin: "https://chat.example", "Sec-Fetch-Site": "cross-site" },
      { Host: "files.example" },
    ]) {
      const response = await call(url, { headers });
      expect([response.status, await response.text()]).toEqual([200, text]);
      expect(response.headers.get("content-disposition")).toStartWith("attachment");
    }
    const head = await call(url, { method: "HEAD" });
    expect([head.status, head.headers.get("content-length")]).toEqual([200, String(text.length)]);
    const part = await call(url, { headers: { Range: "bytes=1-2" } });
    expect([part.status, await part.text()]).toEqual([206, text.slice(1, 3)]);
  }
  const zip = await call(zip_url);
  expect([zip.status, zip.headers.get("content-type")]).toEqual([200, "application/zip"]);
  expect(
    Buffer.from(await zip.arrayBuffer())
      .subarray(0, 2)
      .toString(),
  ).toBe("PK");
});

test("it opens nothing else: no other path, no other method", async () => {
  const { items } = await signed();
  const url = items.find(({ name }) => name === "out.txt")?.url ?? "";
  const [path = "", query = ""] = url.split("?");
  const other = items.find(({ name }) => name !== "out.txt")?.url.split("?")[0] ?? "";
  for (const changed of [
    `${other}?${query}`,
    `/jobs/${id}/artifacts.zip?${query}`,
    `${path}x?${query}`,
    `${path}/?${query}`,
    `/jobs/00000000-0000-4000-8000-000000000000/artifacts/out.txt?${query}`,
    url.replace(/expires=\d/, "expires=9"),
    url.slice(0, -1),
    `${url}A`,
    `${path}?${query.split("&")[0] ?? ""}`,
    `${path}?${query.split("&")[1] ?? ""}`,
  ])
    for (const headers of [{}, key.headers])
      expect([changed, await codeOf(await call(changed, { headers }))]).toEqual([
        changed,
        "403 forbidden_signature",
      ]);
  for (const closed of [
    `/jobs/${id}?${query}`,
    `/jobs/${id}/artifacts?${query}`,
    `/jobs/${id}/logs?${query}`,
    `/jobs/${id}/files/main.py?${query}`,
    `/jobs?${query}`,
  ])
    expect([closed, (await call(closed)).status]).toEqual([closed, 401]);
  expect((await call(url, { method: "POST" })).status).toBe(401);
  expect((await call(url, { method: "DELETE" })).status).toBe(401);
});

test("it ends when it expires, and is told so", async () => {
  const { zip_url } = await signed(1);
  const response = await eventually(
    () => call(zip_url),
    ({ status }) => status !== 200,
  );
  expect(await response.json()).toMatchObject({
    code: "forbidden_signature",
    detail: "The signed URL has expired.",
  });
});

test("for how long, and nothing else, may be asked", async () => {
  const ask = (path: string) => call(path, { headers: key.headers });
  for (const query of ["signed=0", "signed=86401", "signed=", "signed=1.5", "sign=60", "expires=1"])
    expect([query, await codeOf(await ask(`/jobs/${id}/artifacts?${query}`))]).toEqual([
      query,
      "422 invalid_query",
    ]);
  for (const query of ["signed=1", "signed=86400"])
    expect((await ask(`/jobs/${id}/artifacts?${query}`)).status).toBe(200);
  for (const path of ["artifacts/out.txt", "artifacts.zip"])
    expect(await codeOf(await ask(`/jobs/${id}/${path}?v=2`))).toBe("422 invalid_query");
});

test("it outlives a restart, and not a new secret", async () => {
  const { zip_url } = await signed(86_400);
  expect(statSync(join(dataDir, "signing-secret")).mode & 0o777).toBe(0o600);
  await service.stop();
  service = await startService({ dataDir });
  expect((await call(zip_url)).status).toBe(200);
  await service.stop();
  service = await startService({
    dataDir,
    env: { SIGNING_SECRET: "another secret of 32 characters!" },
  });
  expect(await codeOf(await call(zip_url))).toBe("403 forbidden_signature");
  expect((await call((await signed()).zip_url)).status).toBe(200);
}, 30_000);
