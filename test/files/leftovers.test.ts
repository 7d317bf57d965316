import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdir, mkdtemp, readdir, rm, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { FileStore } from "../../src/files/file-store.ts";
import { openLocalFiles } from "../../src/files/local.ts";
import { chunks, committedJob } from "../contract/file-store-contract.ts";

const HOUR_MS = 3_600_000;

let root: string;
let files: FileStore;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "leftovers-"));
  files = await openLocalFiles(root, { inlineBytes: 0, minFreeBytes: 0 });
});
afterEach(() => rm(root, { recursive: true, force: true }));

type Options = Parameters<FileStore["removeOrphanedJobs"]>[0];

/** A round over a store that knows no job, with other `options` where a test is about them. */
function removeOrphans(options: Partial<Options> = {}): Promise<number> {
  return files.removeOrphanedJobs({
    olderThanMs: HOUR_MS,
    limit: 100,
    isStored: () => Promise.resolve(false),
    signal: new AbortController().signal,
    ...options,
  });
}

async function makeOld(name: string): Promise<void> {
  const then = new Date(Date.now() - 2 * HOUR_MS);
  await utimes(join(root, name), then, then);
}

/** A confirmed job with an artifact, two hours old. */
async function oldJob(): Promise<string> {
  const id = crypto.randomUUID();
  await committedJob(files, id);
  await files.artifactWriter(id, 1).add({ path: "a", bytes: chunks("x") });
  await makeOld(id);
  return id;
}

const jobsOnDisk = async () => (await readdir(root)).filter((name) => name !== ".uploads");

test("an old folder whose job the store does not know is removed; a known or a young one stays", async () => {
  await oldJob();
  const known = await oldJob();
  const young = crypto.randomUUID();
  await committedJob(files, young);
  const isStored = (jobId: string) => Promise.resolve(jobId === known);
  expect(await removeOrphans({ isStored })).toBe(1);
  expect((await jobsOnDisk()).toSorted()).toEqual([known, young].toSorted());
  expect(await removeOrphans({ isStored })).toBe(0);
});

test("nothing is removed when the store fails, not even what it did not know before", async () => {
  await oldJob();
  await oldJob();
  let asked = 0;
  const isStored = () =>
    ++asked === 1 ? Promise.resolve(false) : Promise.reject(new Error("the store is away"));
  await expect(removeOrphans({ isStored })).rejects.toThrow("the store is away");
  expect(asked).toBe(2);
  expect(await jobsOnDisk()).toHaveLength(2);
});

test("a job that is being uploaded is left alone, however long that takes", async () => {
  const id = crypto.randomUUID();
  const upload = await files.beginUpload(id);
  await upload.add({ path: "main.py", role: "code", bytes: chunks("x") });
  await upload.commit();
  await makeOld(id);
  expect(await removeOrphans()).toBe(0);
  await upload.confirm();
  expect(await removeOrphans()).toBe(1);
});

test("whatever is no folder named like a job is left alone", async () => {
  const file = crypto.randomUUID();
  await Bun.write(join(root, file), "x");
  await Bun.write(join(root, "jobs.sqlite"), "x");
  const folders = ["backup", "lost+found", `${crypto.randomUUID()}.bak`];
  for (const name of folders) await mkdir(join(root, name));
  const names = [file, "jobs.sqlite", ".uploads", ...folders];
  for (const name of names) await makeOld(name);
  expect(await removeOrphans()).toBe(0);
  expect((await readdir(root)).toSorted()).toEqual(names.toSorted());
});

test("one round removes no more than its limit, and the next one goes on", async () => {
  for (let count = 0; count < 3; count++) await oldJob();
  expect(await removeOrphans({ limit: 2 })).toBe(2);
  expect(await jobsOnDisk()).toHaveLength(1);
  expect(await removeOrphans({ limit: 2 })).toBe(1);
});

test("a folder that resists does not keep the others", async () => {
  const resisting = await oldJob();
  await mkdir(join(root, resisting, "not ours"));
  await makeOld(resisting);
  await oldJob();
  await expect(removeOrphans()).rejects.toThrow("ENOTEMPTY");
  expect(await jobsOnDisk()).toEqual([resisting]);
});

test("a round that is told to stop removes nothing", async () => {
  await oldJob();
  expect(await removeOrphans({ signal: AbortSignal.abort() })).toBe(0);
  expect(await jobsOnDisk()).toHaveLength(1);
});
