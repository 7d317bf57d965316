import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { FileStore } from "../../src/files/file-store.ts";
import { openLocalFiles } from "../../src/files/local.ts";
import { readBeginning } from "../../src/files/small-file.ts";
import type { InputFile } from "../../src/jobs/job.ts";
import { chunks } from "../contract/file-store-contract.ts";

const INLINE_BYTES = 100;
let root: string;
let files: FileStore;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "job-runner-small-"));
  files = await openLocalFiles(root, { inlineBytes: INLINE_BYTES, minFreeBytes: 0 });
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function text(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const copies: Buffer[] = [];
  for await (const chunk of bytes) copies.push(Buffer.from(chunk));
  return Buffer.concat(copies).toString();
}

const add = (upload: Awaited<ReturnType<FileStore["beginUpload"]>>, content: string) =>
  upload.add({ path: "f", role: "code", bytes: chunks(content) });
const isInRecord = ({ blob }: InputFile) => blob === null;

describe("small files", () => {
  test("need no folder, and are read back from their records alone", async () => {
    const upload = await files.beginUpload("job");
    const added = [await add(upload, "x".repeat(99)), await add(upload, "")];
    await upload.commit();
    await upload.confirm();
    expect(added.map(isInRecord)).toEqual([true, true]);
    expect(existsSync(join(root, "job"))).toBe(false);
    expect(readdirSync(join(root, ".uploads"))).toEqual([]);
    const stored = JSON.parse(JSON.stringify(added)) as InputFile[];
    const read = await Promise.all(stored.map((file) => text(files.readInput("job", file))));
    expect(read).toEqual(["x".repeat(99), ""]);
    await upload.discard();
    await files.remove("job");
  });

  test("are so together: what passes the limit goes to the disk, as do bigger ones", async () => {
    const upload = await files.beginUpload("job");
    const contents = ["a".repeat(60), "b".repeat(60), "c".repeat(40), "d".repeat(10_000)];
    const added: InputFile[] = [];
    for (const content of contents) added.push(await add(upload, content));
    await upload.commit();
    await upload.confirm();
    expect(added.map(isInRecord)).toEqual([true, false, true, false]);
    expect(readdirSync(join(root, "job", "input"))).toHaveLength(2);
    const read = await Promise.all(added.map((file) => text(files.readInput("job", file))));
    expect(read).toEqual(contents);
    await upload.discard();
    expect(existsSync(join(root, "job"))).toBe(false);
  });

  test("that are read at the same time do not pass it either", async () => {
    const upload = await files.beginUpload("job");
    const added = await Promise.all(Array.from({ length: 5 }, () => add(upload, "x".repeat(40))));
    expect(added.filter(isInRecord)).toHaveLength(2);
    await upload.discard();
  });

  test("are refused on a full disk like all others", async () => {
    const full = await openLocalFiles(root, {
      inlineBytes: INLINE_BYTES,
      minFreeBytes: Number.MAX_SAFE_INTEGER,
    });
    const upload = await full.beginUpload("job");
    await expect(add(upload, "x")).rejects.toMatchObject({ code: "storage_full" });
  });
});

test("a beginning is the whole stream, or is given again with the rest", async () => {
  for (const [maxBytes, isWhole] of [
    [5, false],
    [6, true],
  ] as const) {
    const { whole, bytes } = await readBeginning(chunks("ab", "cd", "ef"), maxBytes);
    expect(whole === null ? null : Buffer.from(whole).toString()).toBe(isWhole ? "abcdef" : null);
    expect(await text(bytes)).toBe("abcdef");
  }
});
