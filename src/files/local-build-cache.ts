import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, mkdir, open, rename, stat, unlink, utimes } from "node:fs/promises";
import { join } from "node:path";

import type { BuildCache } from "./build-cache.ts";
import { createSpaceCheck, freeBytes, translateDiskErrors } from "./disk.ts";
import { ignoreMissing, list } from "./job-folders.ts";
import { readPack, writePack } from "./pack.ts";

/*
 * Packs on a local disk, or on a volume that several workers share: <folder>/<key>, and <folder>/<key>.<random>.new while one
 * is written. Its time of change is when it was last used. No name in here is a job's.
 */

export interface LocalBuildCacheOptions {
  /** Of all packs together; 0: nothing is kept. */
  readonly maxBytes: number;
  /** With less free space on the disk than this, nothing is taken in: the store is on it as well. */
  readonly minFreeBytes: number;
}

/** So many packs at most, since each that comes has all of them looked at. */
const MAX_PACKS = 2_000;
const BEING_WRITTEN = ".new";
/** One that nobody has written to for so long was left by a process that died: a guest hands its files out within a minute. */
const LEFT_AFTER_MS = 10 * 60 * 1000;

/** The folder is made with the first pack. */
export function openLocalBuildCache(
  folder: string,
  { maxBytes, minFreeBytes }: LocalBuildCacheOptions,
): BuildCache {
  return {
    keepsForLater: maxBytes > 0,
    async find(key) {
      if (maxBytes === 0) return null;
      const path = join(folder, key);
      const file = await openPack(path);
      if (file === null) return null;
      // What the disk cannot read is as good as not there.
      const files = await readPack(file).catch(() => null);
      const now = new Date();
      if (files !== null) {
        // Where that cannot be noted, it is only removed the sooner.
        await utimes(path, now, now).catch(() => undefined);
        return { files, isShared: true, close: () => file.close() };
      }
      await file.close();
      await ignoreMissing(unlink(path));
      return null;
    },
    async keep(key, files) {
      await translateDiskErrors(() => mkdir(folder, { recursive: true, mode: 0o700 }));
      // Jobs go before what might be of use to later ones.
      await removeOldest(folder, {
        maxBytes: Number.POSITIVE_INFINITY,
        minFreeBytes: 2 * minFreeBytes,
      });
      const path = join(folder, `${key}.${randomUUID()}${BEING_WRITTEN}`);
      const file = await translateDiskErrors(() => open(path, "wx+", 0o600));
      try {
        const written = await writePack(file, files, createSpaceCheck(folder, minFreeBytes));
        const isShared = (await file.stat()).size <= maxBytes;
        if (isShared) {
          await rename(path, join(folder, key));
          await removeOldest(folder, { maxBytes, minFreeBytes });
        } else await unlink(path);
        return { files: written, isShared, close: () => file.close() };
      } catch (error) {
        await file.close();
        await ignoreMissing(unlink(path));
        throw error;
      }
    },
  };
}

/** null where there is none. Neither waits nor follows: what else stands under the name is not of our making. */
async function openPack(path: string): Promise<FileHandle | null> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(() => null);
  if (file === null || (await file.stat()).isFile()) return file;
  await file.close();
  return null;
}

/**
 * Removes what was used the longest ago, until the rest, with what is being written, is within its bounds, and so much is free on
 * the disk. Another worker may do the same meanwhile.
 */
async function removeOldest(
  folder: string,
  { maxBytes, minFreeBytes }: LocalBuildCacheOptions,
): Promise<void> {
  const packs: { path: string; sizeBytes: number; usedAtMs: number }[] = [];
  let keptBytes = 0;
  for (const name of await list(folder)) {
    const path = join(folder, name);
    const found = await ignoreMissing(stat(path));
    if (found === undefined) continue;
    const { size: sizeBytes, mtimeMs: usedAtMs } = found;
    if (!name.endsWith(BEING_WRITTEN)) packs.push({ path, sizeBytes, usedAtMs });
    else if (usedAtMs < Date.now() - LEFT_AFTER_MS) await ignoreMissing(unlink(path));
    else keptBytes += sizeBytes;
  }
  packs.sort((a, b) => b.usedAtMs - a.usedAtMs);
  const kept: typeof packs = [];
  for (const [index, pack] of packs.entries()) {
    keptBytes += pack.sizeBytes;
    if (keptBytes > maxBytes || index >= MAX_PACKS) await ignoreMissing(unlink(pack.path));
    else kept.push(pack);
  }
  for (const { path } of kept.toReversed()) {
    if ((await freeBytes(folder)) >= minFreeBytes) return;
    await ignoreMissing(unlink(path));
  }
}
