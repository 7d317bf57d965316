import { afterEach, beforeEach, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { FileStore } from "../../src/files/file-store.ts";
import { openLocalFiles } from "../../src/files/local.ts";

let root: string;
let files: FileStore;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "local-files-"));
  files = await openLocalFiles(root);
});

afterEach(() => rm(root, { recursive: true, force: true }));

async function* chunks(...parts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield await Promise.resolve(Buffer.from(part));
}

async function* breaksOff(): AsyncGenerator<Uint8Array> {
  yield* chunks("half of it");
  throw new Error("the client is gone");
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Every file below the root, as paths under it. */
async function filesOnDisk(): Promise<readonly string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
}

test("an upload's files are read back by their records, under numbers and not their names", async () => {
  const upload = await files.beginUpload("job");
  const main = await upload.add({ path: "main.py", role: "code", bytes: chunks("pri", "nt()") });
  const odd = await upload.add({ path: "../../etc/x\n", role: "input", bytes: chunks() });
  await upload.commit();
  expect(main).toMatchObject({ path: "main.py", sizeBytes: 7, sha256: sha256("print()") });
  expect(odd).toMatchObject({ path: "../../etc/x\n", sizeBytes: 0, sha256: sha256("") });
  expect(await textOf(files.readInput("job", main))).toBe("print()");
  expect(await textOf(files.readInput("job", odd))).toBe("");
  expect((await filesOnDisk()).toSorted()).toEqual(["job/input/0", "job/input/1"]);
});

test("an upload is not there before its commit, and gone after its discard", async () => {
  const upload = await files.beginUpload("job");
  const main = await upload.add({ path: "main.py", role: "code", bytes: chunks("x") });
  await expect(files.readInput("job", main)[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    code: "not_found",
  });
  await upload.discard();
  await upload.discard();
  expect(await filesOnDisk()).toEqual([]);
});

test("a discard after the commit takes nothing back", async () => {
  const upload = await files.beginUpload("job");
  await upload.add({ path: "main.py", role: "code", bytes: chunks("x") });
  await upload.commit();
  await upload.discard();
  expect(await filesOnDisk()).toEqual(["job/input/0"]);
});

test("a file that breaks off leaves nothing of itself", async () => {
  const upload = await files.beginUpload("job");
  const adding = upload.add({ path: "main.py", role: "code", bytes: breaksOff() });
  await expect(adding).rejects.toThrow("the client is gone");
  expect(await filesOnDisk()).toEqual([]);
});

test("an artifact is read whole, in part, and not past its end", async () => {
  const writer = files.artifactWriter("job", 3);
  const artifact = await writer.add({ path: "out.txt", bytes: chunks("0123", "456789") });
  if (artifact === null) throw new Error("A file without unlessHash is always kept");
  const read = async (start: number, end: number) =>
    (await files.readArtifact("job", artifact, { start, end })).text();
  expect(await read(0, 10)).toBe("0123456789");
  expect(await read(3, 5)).toBe("34");
  expect(await read(5, 5)).toBe("");
  await files.remove("job");
  await expect(read(0, 10)).rejects.toMatchObject({ code: "not_found" });
});

test("an artifact that is an unchanged input is not kept", async () => {
  const writer = files.artifactWriter("job", 1);
  const unlessHash = sha256("same");
  expect(await writer.add({ path: "a", bytes: chunks("same"), unlessHash })).toBeNull();
  const changed = await writer.add({ path: "a", bytes: chunks("new"), unlessHash });
  expect(changed?.sha256).toBe(sha256("new"));
  expect(await filesOnDisk()).toEqual([join("job/artifacts", changed?.blob ?? "")]);
});

test("two attempts keep their artifacts apart", async () => {
  const first = await files.artifactWriter("job", 1).add({ path: "a", bytes: chunks("one") });
  const second = await files.artifactWriter("job", 2).add({ path: "a", bytes: chunks("two") });
  expect(first?.blob).not.toBe(second?.blob);
});

test("a removed job is gone, and may be removed again", async () => {
  const upload = await files.beginUpload("job");
  const main = await upload.add({ path: "main.py", role: "code", bytes: chunks("x") });
  await upload.commit();
  await files.artifactWriter("job", 1).add({ path: "a", bytes: chunks("x") });
  await files.remove("job");
  await files.remove("job");
  expect(await filesOnDisk()).toEqual([]);
  await expect(files.readInput("job", main)[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    code: "not_found",
  });
});

test("uploads that a dead process left are removed by age, committed jobs never", async () => {
  const kept = await files.beginUpload("kept");
  await kept.add({ path: "main.py", role: "code", bytes: chunks("x") });
  await kept.commit();
  const abandoned = await files.beginUpload("abandoned");
  await abandoned.add({ path: "main.py", role: "code", bytes: chunks("x") });
  const reopened = await openLocalFiles(root);
  expect(await reopened.removeAbandonedUploads(3_600_000)).toBe(0);
  // Older than a moment that is still to come: whatever the clock of the file system says.
  expect(await reopened.removeAbandonedUploads(-60_000)).toBe(1);
  expect(await filesOnDisk()).toEqual(["kept/input/0"]);
});

async function textOf(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  return Buffer.concat(await Array.fromAsync(bytes)).toString();
}
