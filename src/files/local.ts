import { createHash } from "node:crypto";
import { openAsBlob } from "node:fs";
import { type FileHandle, link, mkdir, open, rename, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";

import { AppError, messageOf } from "../errors.ts";
import type { InputFile } from "../jobs/job.ts";
import type { Artifact } from "../jobs/outcome.ts";
import { errno, syncFolder } from "../platform/file-system.ts";
import { countStreamedBytes } from "../platform/memory.ts";
import { checkFreeSpace, createSpaceCheck, translateDiskErrors, writeAll } from "./disk.ts";
import type { ArtifactWriter, FileRange, FileStore, Upload } from "./file-store.ts";
import {
  ARTIFACTS,
  discardUpload,
  INPUT,
  removeEmpty,
  removeJob,
  STAGED,
  UPLOADS,
} from "./job-folders.ts";
import { removeAbandonedUploads, removeOrphanedJobs } from "./leftovers.ts";
import { decodeSmallFile, encodeSmallFile, readBeginning } from "./small-file.ts";

/*
 * Job folders on a local disk, or on a volume that API and workers share, laid out as job-folders.ts says.
 */

/** A thousand jobs of small files in that time are 16 MiB. */
const FREE_SPACE_VALID_MS = 1_000;
const READ_BYTES = 256 * 1024;

export interface LocalFilesOptions {
  /** Each uploaded file that still fits into so many bytes of its job is kept in the job's record (small-file.ts); 0: none. */
  readonly inlineBytes: number;
  /** With less free space on the disk than this, files are refused with `storage_full`: the store is on it as well. */
  readonly minFreeBytes: number;
}

interface Place extends LocalFilesOptions {
  readonly root: string;
  /** As the function of that name, but not for each of many small files. */
  readonly checkFreeSpace: () => Promise<void>;
}

/** Opens, and where need be makes, the folder of all jobs. Throws AppError `store_unavailable` where that cannot be. */
export async function openLocalFiles(root: string, limits: LocalFilesOptions): Promise<FileStore> {
  try {
    await mkdir(join(root, UPLOADS), { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new AppError(
      "store_unavailable",
      `The folder of the jobs (JOB_DATA_DIR) cannot be made: ${messageOf(cause)}`,
      { cause },
    );
  }
  const checkNow = () => checkFreeSpace(root, limits.minFreeBytes);
  const place = { root, ...limits, checkFreeSpace: atMostEvery(FREE_SPACE_VALID_MS, checkNow) };
  return {
    beginUpload: (jobId) => beginUpload(place, jobId),
    readInput: (jobId, { blob, content = "" }) =>
      blob === null ? decodeSmallFile(content) : readBlob(join(root, jobId, INPUT, blob)),
    readInputPart: async (jobId, { blob, content = "" }, range) =>
      blob === null
        ? new Blob([Buffer.from(content, "base64").subarray(range.start, range.end)])
        : await readRange(join(root, jobId, INPUT, blob), range),
    artifactWriter: (jobId, epoch) =>
      artifactWriter(place, { folder: join(root, jobId, ARTIFACTS, String(epoch)), epoch }),
    readArtifact: (jobId, artifact, range) =>
      readRange(join(root, jobId, ARTIFACTS, artifact.blob), range),
    remove: (jobId) => removeJob(join(root, jobId)),
    removeAbandonedUploads: (options) => removeAbandonedUploads(root, options),
    removeOrphanedJobs: (options) => removeOrphanedJobs(root, options),
  };
}

async function beginUpload(place: Place, jobId: string): Promise<Upload> {
  const { root } = place;
  const marker = join(root, UPLOADS, jobId);
  const staged = join(marker, STAGED);
  let folder: Promise<void> | undefined;
  const makeFolder = async () => {
    await mkdir(join(staged, INPUT), { recursive: true, mode: 0o700 });
  };
  let inlineLeft = place.inlineBytes;
  let count = 0;
  return {
    async add({ path, role, bytes: stream }) {
      const { whole, bytes } = await readBeginning(stream, inlineLeft);
      // Others may have been read meanwhile.
      if (whole !== null && place.inlineBytes > 0 && whole.length <= inlineLeft) {
        inlineLeft -= whole.length;
        await place.checkFreeSpace();
        return { path, role, ...encodeSmallFile(whole) } satisfies InputFile;
      }
      await translateDiskErrors(() => (folder ??= makeFolder()));
      const blob = String(count++);
      const { sizeBytes, sha256 } = await writeBlob(place, join(staged, INPUT, blob), bytes);
      return { path, role, blob, sizeBytes, sha256 } satisfies InputFile;
    },
    async addAgain(earlierJobId, file) {
      if (file.blob === null) return file;
      await translateDiskErrors(() => (folder ??= makeFolder()));
      const from = join(root, earlierJobId, INPUT, file.blob);
      const blob = String(count++);
      const to = join(staged, INPUT, blob);
      const isLinked = await translateDiskErrors(() => linkUnlessRefused(from, to));
      if (!isLinked) await writeBlob(place, to, readBlob(from));
      return { ...file, blob };
    },
    async commit() {
      if (folder === undefined) return;
      await translateDiskErrors(async () => {
        await rename(staged, join(root, jobId));
        await syncFolder(root);
      });
    },
    confirm: async () => (folder === undefined ? undefined : removeEmpty(marker)),
    discard: async () => (folder === undefined ? undefined : discardUpload(root, jobId)),
  };
}

/** Gives a file a second name: nothing ever writes to it again. Resolves to false where the file system has no such thing, or no more. */
async function linkUnlessRefused(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
  } catch (error) {
    if (errno(error) === "ENOENT") throw goneFile(error);
    if (["EXDEV", "EPERM", "EMLINK", "ENOTSUP", "EOPNOTSUPP"].includes(errno(error))) return false;
    throw error;
  }
  await syncFolder(dirname(to));
  return true;
}

function artifactWriter(
  place: Place,
  { folder, epoch }: { readonly folder: string; readonly epoch: number },
): ArtifactWriter {
  let count = 0;
  return {
    async add({ path, bytes, unlessHash }) {
      const number = String(count++);
      await translateDiskErrors(() => mkdir(folder, { recursive: true, mode: 0o700 }));
      const { sizeBytes, sha256 } = await writeBlob(place, join(folder, number), bytes);
      if (sha256 === unlessHash) {
        await unlink(join(folder, number));
        return null;
      }
      return { path, blob: `${epoch}/${number}`, sizeBytes, sha256 } satisfies Artifact;
    },
  };
}

/** Writes a new file through to the disk; a partial one is removed when its source or the disk fails. */
async function writeBlob(
  place: Place,
  path: string,
  bytes: AsyncIterable<Uint8Array>,
): Promise<{ sizeBytes: number; sha256: string }> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  const checkSpaceFor = createSpaceCheck(place.root, place.minFreeBytes);
  // Truncates: the worker of a second attempt at the same epoch does not exist, but a retried write within one does.
  const file = await translateDiskErrors(() => open(path, "w", 0o600));
  try {
    for await (const chunk of bytes) {
      hash.update(chunk);
      sizeBytes += chunk.length;
      countStreamedBytes(chunk.length);
      await checkSpaceFor(chunk.length);
      await translateDiskErrors(() => writeAll(file, chunk));
    }
    await translateDiskErrors(() => file.datasync());
  } catch (error) {
    await file.close();
    await unlink(path);
    throw error;
  }
  await file.close();
  return { sizeBytes, sha256: hash.digest("hex") };
}

/** A step that is not done again so soon after it has succeeded. */
function atMostEvery(intervalMs: number, step: () => Promise<void>): () => Promise<void> {
  let doneAtMs = Number.NEGATIVE_INFINITY;
  return async () => {
    if (performance.now() - doneAtMs < intervalMs) return;
    await step();
    doneAtMs = performance.now();
  };
}

/** Each chunk is good until the next is asked for: one buffer serves them all. */
async function* readBlob(path: string): AsyncGenerator<Uint8Array> {
  const file = await openForReading(path);
  try {
    const buffer = new Uint8Array(READ_BYTES);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
      countStreamedBytes(bytesRead);
    }
  } finally {
    await file.close();
  }
}

/**
 * A part of a file that the server reads by itself, with sendfile(2) where it can. Not a stream: Bun sends those without
 * the Content-Length that a download's progress is shown by (oven-sh/bun issue 10507).
 */
async function readRange(path: string, range: FileRange): Promise<Blob> {
  // Opened and closed to learn that it is there: a Blob opens its file only when it is read.
  await (await openForReading(path)).close();
  return (await openAsBlob(path)).slice(range.start, range.end);
}

async function openForReading(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (error) {
    if (errno(error) === "ENOENT") throw goneFile(error);
    throw error;
  }
}

function goneFile(cause: unknown): AppError {
  return new AppError("not_found", "The file is gone.", { cause });
}
