import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { FileStore } from "../../src/files/file-store.ts";
import { openLocalFiles } from "../../src/files/local.ts";
import { chunks, committedJob, fileStoreContract } from "../contract/file-store-contract.ts";

let root: string;

async function openFresh(): Promise<FileStore> {
  root = await mkdtemp(join(tmpdir(), "local-files-"));
  return await openLocalFiles(root, { inlineBytes: 0, minFreeBytes: 0 });
}

const removeRoot = () => rm(root, { recursive: true, force: true });

/** Every file below the root, as paths under it. */
async function filesOnDisk(): Promise<readonly string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
}

fileStoreContract("A local folder", {
  open: openFresh,
  reopen: () => openLocalFiles(root, { inlineBytes: 0, minFreeBytes: 0 }),
  countFiles: async () => (await filesOnDisk()).length,
  cleanup: removeRoot,
});

describe("on the disk", () => {
  let files: FileStore;
  beforeEach(async () => {
    files = await openFresh();
  });
  afterEach(removeRoot);

  test("files have numbers, never the names that users and programs gave them", async () => {
    const upload = await files.beginUpload("job");
    await upload.add({ path: "main.py", role: "code", bytes: chunks("x") });
    await upload.add({ path: "../../etc/x\n", role: "input", bytes: chunks() });
    await upload.commit();
    await files.artifactWriter("job", 7).add({ path: "/etc/passwd", bytes: chunks("x") });
    expect((await filesOnDisk()).toSorted()).toEqual([
      "job/artifacts/7/0",
      "job/input/0",
      "job/input/1",
    ]);
  });

  test("nobody but the service's own user can read them", async () => {
    await committedJob(files, "job");
    expect((await stat(join(root, "job"))).mode & 0o077).toBe(0);
    expect((await stat(join(root, "job", "input", "0"))).mode & 0o077).toBe(0);
  });

  test("a removed job leaves no folder, and an upload only the one for uploads", async () => {
    await committedJob(files, "job");
    await files.artifactWriter("job", 1).add({ path: "a", bytes: chunks("x") });
    await files.remove("job");
    await (await files.beginUpload("gone")).discard();
    expect(await readdir(root)).toEqual([".uploads"]);
    expect(await readdir(join(root, ".uploads"))).toEqual([]);
  });

  test("a reader that stops early lets go of its file", async () => {
    const file = await committedJob(files, "job", chunks("x".repeat(600_000)));
    const open = async () => (await readdir("/proc/self/fd")).length;
    const before = await open();
    for (let round = 0; round < 20; round++)
      for await (const chunk of files.readInput("job", file)) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
    expect(await open()).toBeLessThan(before + 5);
  });

  test("with less free space than is to be kept nothing is put there, and nothing of it stays", async () => {
    const picky = await openLocalFiles(root, {
      inlineBytes: 0,
      minFreeBytes: Number.MAX_SAFE_INTEGER,
    });
    const upload = await picky.beginUpload("job");
    const adding = upload.add({ path: "main.py", role: "code", bytes: chunks("x") });
    const error = await adding.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "storage_full" });
    await upload.discard();
    expect(await filesOnDisk()).toEqual([]);
  });
});
