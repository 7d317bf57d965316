import { type FileHandle, statfs } from "node:fs/promises";

import { AppError } from "../errors.ts";
import { errno } from "../platform/file-system.ts";

/*
 * Writing to the disk that the job folders are on, which the store shares.
 */

export async function translateDiskErrors<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (["ENOSPC", "EDQUOT"].includes(errno(error)))
      throw new AppError("storage_full", "The disk that holds the job folders is full.", {
        cause: error,
      });
    throw error;
  }
}

/** Of the disk that a folder is on. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** Throws `storage_full` before the disk is: what is left belongs to the store, and to the ends of jobs that run. */
export async function checkFreeSpace(root: string, minFreeBytes: number): Promise<void> {
  if ((await freeBytes(root)) < minFreeBytes)
    throw new AppError(
      "storage_full",
      "The disk that holds the job folders has less free space than MIN_FREE_DISK_MB.",
    );
}

/** How much is written between two looks at the free space. */
const CHECK_SPACE_EVERY_BYTES = 16 * 1024 * 1024;

/**
 * For the writer of one file, who says ahead of each chunk how large it is: looks at the free space before the first, and again
 * every 16 MiB. Throws as checkFreeSpace does.
 */
export function createSpaceCheck(
  root: string,
  minFreeBytes: number,
): (chunkBytes: number) => Promise<void> {
  let uncheckedBytes = Number.POSITIVE_INFINITY;
  return async (chunkBytes) => {
    uncheckedBytes += chunkBytes;
    if (uncheckedBytes <= CHECK_SPACE_EVERY_BYTES) return;
    await checkFreeSpace(root, minFreeBytes);
    uncheckedBytes = 0;
  };
}

export async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let written = 0; written < chunk.length;) {
    const { bytesWritten } = await file.write(chunk, written);
    written += bytesWritten;
  }
}
