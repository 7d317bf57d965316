import { lstat, opendir, stat } from "node:fs/promises";
import { join } from "node:path";

import { isJobId } from "../jobs/job.ts";
import type { FileStore } from "./file-store.ts";
import {
  discardUpload,
  ignoreMissing,
  INPUT,
  list,
  removeEmpty,
  removeJob,
  STAGED,
  UPLOADS,
} from "./job-folders.ts";

/*
 * What nobody will ask for again, found by its age: uploads that were never confirmed, and folders of jobs that the store
 * has lost.
 */

/** Does what the port says of `removeAbandonedUploads`. */
export async function removeAbandonedUploads(
  root: string,
  { olderThanMs, isStored }: Parameters<FileStore["removeAbandonedUploads"]>[0],
): Promise<number> {
  const newestToRemoveMs = Date.now() - olderThanMs;
  let removed = 0;
  const failures: unknown[] = [];
  for (const jobId of await list(join(root, UPLOADS))) {
    const marker = join(root, UPLOADS, jobId);
    try {
      if ((await lastWriteMs(marker)) > newestToRemoveMs) continue;
      if (await isStored(jobId)) await removeEmpty(marker);
      else {
        await discardUpload(root, jobId);
        removed++;
      }
    } catch (error) {
      // One folder that resists does not keep the others.
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return removed;
}

async function lastWriteMs(marker: string): Promise<number> {
  const input = join(marker, STAGED, INPUT);
  const paths = [marker, ...(await list(input)).map((blob) => join(input, blob))];
  const stats = await Promise.all(paths.map((path) => ignoreMissing(stat(path))));
  return Math.max(...stats.map((found) => found?.mtimeMs ?? 0));
}

/** Does what the port says of `removeOrphanedJobs`. */
export async function removeOrphanedJobs(
  root: string,
  options: Parameters<FileStore["removeOrphanedJobs"]>[0],
): Promise<number> {
  // All are found before the first is removed: a store that fails on the way has not been believed in anything.
  const orphans = await findOrphanedJobs(root, options);
  let removed = 0;
  const failures: unknown[] = [];
  for (const jobId of orphans) {
    try {
      await removeJob(join(root, jobId));
      removed++;
    } catch (error) {
      // One folder that resists does not keep the others.
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return removed;
}

async function findOrphanedJobs(
  root: string,
  { olderThanMs, limit, isStored, signal }: Parameters<FileStore["removeOrphanedJobs"]>[0],
): Promise<readonly string[]> {
  const newestToRemoveMs = Date.now() - olderThanMs;
  const orphans: string[] = [];
  // One after the other, and never all names at once: there may be as many folders as jobs are kept.
  for await (const { name } of await opendir(root)) {
    if (signal.aborted) return [];
    if (!isJobId(name)) continue;
    const folder = await ignoreMissing(lstat(join(root, name)));
    if (!folder?.isDirectory() || folder.mtimeMs > newestToRemoveMs) continue;
    // Before the store is asked: a marker that is gone by now was taken away once the job was stored, so that a store
    // that does not know the job has lost it, or has let it expire.
    if ((await ignoreMissing(stat(join(root, UPLOADS, name)))) !== undefined) continue;
    if (await isStored(name)) continue;
    orphans.push(name);
    if (orphans.length >= limit) break;
  }
  return orphans;
}
