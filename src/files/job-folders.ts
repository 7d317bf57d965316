import { readdir, rmdir, unlink } from "node:fs/promises";
import { join } from "node:path";

import { errno } from "../platform/file-system.ts";

/*
 * Job folders on a local disk, or on a volume that API and workers share. Those without a file are not made:
 *
 *   <root>/.uploads/<job>/                  an upload that has not been confirmed; empty once it is committed
 *   <root>/.uploads/<job>/job/input/<n>     its files until then
 *   <root>/<job>/input/<n>                  the uploaded files that are not in the job's record (local.ts)
 *   <root>/<job>/artifacts/<epoch>/<n>      what one attempt left behind
 *
 * Blobs are numbered, so a folder is never deeper than this, whatever a program did; and removing one never recurses
 * into a tree that a program shaped (a recursive removal of 3,000 nested levels takes half a minute).
 */

export const UPLOADS = ".uploads";
export const STAGED = "job";
export const INPUT = "input";
export const ARTIFACTS = "artifacts";

/** Removes all that an upload wrote, committed or not. Throws what the file system does. */
export async function discardUpload(root: string, jobId: string): Promise<void> {
  await removeJob(join(root, jobId));
  await removeJob(join(root, UPLOADS, jobId, STAGED));
  // Last, so that whatever is left by a death in between is found again.
  await removeEmpty(join(root, UPLOADS, jobId));
}

/** Removes a job's folder or an upload's; both are exactly as deep as the layout above. */
export async function removeJob(folder: string): Promise<void> {
  await removeFiles(join(folder, INPUT));
  for (const epoch of await list(join(folder, ARTIFACTS)))
    await removeFiles(join(folder, ARTIFACTS, epoch));
  await removeEmpty(join(folder, ARTIFACTS));
  await removeEmpty(folder);
}

async function removeFiles(folder: string): Promise<void> {
  for (const name of await list(folder)) await ignoreMissing(unlink(join(folder, name)));
  await removeEmpty(folder);
}

/** Removes a folder that is empty, or gone already. */
export const removeEmpty = (folder: string) => ignoreMissing(rmdir(folder));

/** The names in a folder; none when it is gone. */
export async function list(folder: string): Promise<readonly string[]> {
  return (await ignoreMissing(readdir(folder))) ?? [];
}

/** What a step gives; undefined when the file that it is about is gone. */
export async function ignoreMissing<T>(step: Promise<T>): Promise<T | undefined> {
  try {
    return await step;
  } catch (error) {
    if (errno(error) === "ENOENT") return undefined;
    throw error;
  }
}
