import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";

import type { FileStore } from "../../src/files/file-store.ts";
import type { InputFile } from "../../src/jobs/job.ts";
import type { Artifact } from "../../src/jobs/outcome.ts";

/** What the contract needs of a driver. */
export interface FileStoreHarness {
  /** A fresh, empty store. */
  open(): Promise<FileStore>;
  /** Another one over the data of the last that was opened, as a restarted process has it. */
  reopen(): Promise<FileStore>;
  /** The number of files that the last one opened keeps, uncommitted ones too. */
  countFiles(): Promise<number>;
  cleanup(): Promise<void>;
}

export async function* chunks(...parts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield await Promise.resolve(Buffer.from(part));
}

async function* breaksOff(): AsyncGenerator<Uint8Array> {
  yield* chunks("half of it");
  throw new Error("the client is gone");
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Commits and confirms a job of one file; gives the file's record. */
export async function committedJob(
  files: FileStore,
  id: string,
  content: AsyncIterable<Uint8Array> = chunks("x"),
): Promise<InputFile> {
  const upload = await files.beginUpload(id);
  const file = await upload.add({ path: "main.py", role: "code", bytes: content });
  await upload.commit();
  await upload.confirm();
  return file;
}

/** Chunks are the reader's only until the next one, so they are copied at once. */
async function inputText(files: FileStore, id: string, file: InputFile): Promise<string> {
  const copies: Buffer[] = [];
  for await (const chunk of files.readInput(id, file)) copies.push(Buffer.from(chunk));
  return Buffer.concat(copies).toString();
}

async function artifactText(
  files: FileStore,
  id: string,
  [artifact, start, end]: readonly [artifact: Artifact | null, start: number, end: number],
): Promise<string> {
  if (artifact === null) throw new Error("A file without unlessHash is always kept");
  return await (await files.readArtifact(id, artifact, { start, end })).text();
}

/** Registers every promise of src/files/file-store.ts as a test of one driver. */
export function fileStoreContract(name: string, harness: FileStoreHarness): void {
  describe(`${name} keeps the file store's promises`, () => {
    uploadContract(harness);
    artifactContract(harness);
    removalContract(harness);
  });
}

function uploadContract(harness: FileStoreHarness): void {
  describe("uploading", () => {
    let files: FileStore;
    beforeEach(async () => {
      files = await harness.open();
    });
    afterEach(() => harness.cleanup());

    test("files are read back by their records, whatever their names", async () => {
      const upload = await files.beginUpload("job");
      const main = await upload.add({
        path: "main.py",
        role: "code",
        bytes: chunks("pri", "nt()"),
      });
      const odd = await upload.add({ path: "../../etc/x\n", role: "input", bytes: chunks() });
      await upload.commit();
      expect(main).toMatchObject({ path: "main.py", sizeBytes: 7, sha256: sha256("print()") });
      expect(odd).toMatchObject({ path: "../../etc/x\n", sizeBytes: 0, sha256: sha256("") });
      expect(await inputText(files, "job", main)).toBe("print()");
      expect(await inputText(files, "job", odd)).toBe("");
    });

    test("a file of an earlier job is there for the two of them, and stays when one is removed", async () => {
      const first = await files.beginUpload("first");
      const small = await first.add({ path: "a", role: "code", bytes: chunks("small") });
      const big = await first.add({ path: "b", role: "input", bytes: chunks("x".repeat(100_000)) });
      await first.commit();
      const second = await files.beginUpload("second");
      const own = await second.add({ path: "c", role: "input", bytes: chunks("own") });
      const again = [await second.addAgain("first", small), await second.addAgain("first", big)];
      await second.commit();
      await second.confirm();
      expect(
        again.map(({ path, role, sizeBytes, sha256: hash }) => [path, role, sizeBytes, hash]),
      ).toEqual(
        [small, big].map(({ path, role, sizeBytes, sha256: hash }) => [
          path,
          role,
          sizeBytes,
          hash,
        ]),
      );
      await files.remove("first");
      const texts = await Promise.all(
        [own, ...again].map((file) => inputText(files, "second", file)),
      );
      expect(texts).toEqual(["own", "small", "x".repeat(100_000)]);
    });

    test("a file of a job that was removed cannot be had again", async () => {
      const gone = await committedJob(files, "gone", chunks("x".repeat(100_000)));
      await files.remove("gone");
      const upload = await files.beginUpload("job");
      await expect(upload.addAgain("gone", gone)).rejects.toMatchObject({ code: "not_found" });
      await upload.discard();
      expect(await harness.countFiles()).toBe(0);
    });

    test("files added at the same time are kept apart", async () => {
      const upload = await files.beginUpload("job");
      const contents = Array.from({ length: 20 }, (_, n) => `content ${n}`);
      const added = await Promise.all(
        contents.map((text) => upload.add({ path: text, role: "input", bytes: chunks(...text) })),
      );
      await upload.commit();
      const read = await Promise.all(added.map((file) => inputText(files, "job", file)));
      expect(read).toEqual(contents);
    });

    test("a file of many chunks comes back whole", async () => {
      const parts = Array.from({ length: 50 }, (_, n) => `${n} `.repeat(10_000));
      const file = await committedJob(files, "job", chunks(...parts));
      expect(file.sha256).toBe(sha256(parts.join("")));
      expect(sha256(await inputText(files, "job", file))).toBe(file.sha256);
    });

    test("nothing is there before the commit, and nothing is left after a discard", async () => {
      const upload = await files.beginUpload("job");
      const main = await upload.add({ path: "main.py", role: "code", bytes: chunks("x") });
      await expect(inputText(files, "job", main)).rejects.toMatchObject({ code: "not_found" });
      await upload.discard();
      await upload.discard();
      expect(await harness.countFiles()).toBe(0);
    });

    test("a discard after the commit takes everything back", async () => {
      const upload = await files.beginUpload("job");
      const main = await upload.add({ path: "main.py", role: "code", bytes: chunks("x") });
      await upload.commit();
      expect(await inputText(files, "job", main)).toBe("x");
      await upload.discard();
      await expect(inputText(files, "job", main)).rejects.toMatchObject({ code: "not_found" });
      expect(await harness.countFiles()).toBe(0);
    });

    test("a file that breaks off leaves nothing of itself, and the upload can be discarded", async () => {
      const upload = await files.beginUpload("job");
      const adding = upload.add({ path: "main.py", role: "code", bytes: breaksOff() });
      await expect(adding).rejects.toThrow("the client is gone");
      expect(await harness.countFiles()).toBe(0);
      await upload.discard();
    });
  });
}

function artifactContract(harness: FileStoreHarness): void {
  describe("artifacts", () => {
    let files: FileStore;
    beforeEach(async () => {
      files = await harness.open();
    });
    afterEach(() => harness.cleanup());

    test("are read whole, in part, and not past their end", async () => {
      const writer = files.artifactWriter("job", 3);
      const artifact = await writer.add({ path: "out.txt", bytes: chunks("0123", "456789") });
      expect(artifact).toMatchObject({
        path: "out.txt",
        sizeBytes: 10,
        sha256: sha256("0123456789"),
      });
      for (const [start, end] of [
        [0, 10],
        [3, 5],
        [9, 10],
        [5, 5],
      ] as const)
        expect(await artifactText(files, "job", [artifact, start, end])).toBe(
          "0123456789".slice(start, end),
        );
    });

    test("that are unchanged inputs are not kept", async () => {
      const writer = files.artifactWriter("job", 1);
      const unlessHash = sha256("same");
      expect(await writer.add({ path: "a", bytes: chunks("same"), unlessHash })).toBeNull();
      expect(await harness.countFiles()).toBe(0);
      const changed = await writer.add({ path: "a", bytes: chunks("new"), unlessHash });
      expect(await artifactText(files, "job", [changed, 0, 3])).toBe("new");
    });

    test("of two attempts are kept apart", async () => {
      const first = await files.artifactWriter("job", 1).add({ path: "a", bytes: chunks("one") });
      const second = await files.artifactWriter("job", 2).add({ path: "a", bytes: chunks("two") });
      expect(await artifactText(files, "job", [first, 0, 3])).toBe("one");
      expect(await artifactText(files, "job", [second, 0, 3])).toBe("two");
    });
  });
}

function removalContract(harness: FileStoreHarness): void {
  describe("removing", () => {
    let files: FileStore;
    beforeEach(async () => {
      files = await harness.open();
    });
    afterEach(() => harness.cleanup());

    test("a job takes its inputs and every attempt's artifacts, and may happen again", async () => {
      const main = await committedJob(files, "job");
      const kept = await committedJob(files, "other");
      const artifact = await files.artifactWriter("job", 1).add({ path: "a", bytes: chunks("x") });
      await files.artifactWriter("job", 2).add({ path: "a", bytes: chunks("x") });
      await files.remove("job");
      await files.remove("job");
      await files.remove("never-there");
      await expect(inputText(files, "job", main)).rejects.toMatchObject({ code: "not_found" });
      await expect(artifactText(files, "job", [artifact, 0, 1])).rejects.toMatchObject({
        code: "not_found",
      });
      expect(await inputText(files, "other", kept)).toBe("x");
      expect(await harness.countFiles()).toBe(1);
    });

    test("uploads that nobody confirmed go by age, unless their job is stored", async () => {
      const confirmed = await committedJob(files, "confirmed");
      const started = await files.beginUpload("started");
      await started.add({ path: "main.py", role: "code", bytes: chunks("x") });
      const committed = await files.beginUpload("committed");
      await committed.add({ path: "main.py", role: "code", bytes: chunks("x") });
      await committed.commit();
      const stored = await files.beginUpload("stored");
      const kept = await stored.add({ path: "main.py", role: "code", bytes: chunks("x") });
      await stored.commit();
      const reopened = await harness.reopen();
      const isStored = (jobId: string) => Promise.resolve(jobId === "stored");
      expect(await reopened.removeAbandonedUploads({ olderThanMs: 3_600_000, isStored })).toBe(0);
      // Older than a moment that is still to come: whatever the clock of the driver says.
      const all = { olderThanMs: -60_000, isStored };
      expect(await reopened.removeAbandonedUploads(all)).toBe(2);
      expect(await reopened.removeAbandonedUploads(all)).toBe(0);
      expect(await inputText(reopened, "confirmed", confirmed)).toBe("x");
      expect(await inputText(reopened, "stored", kept)).toBe("x");
      expect(await harness.countFiles()).toBe(2);
    });
  });
}
