import {
  access,
  constants,
  lstat,
  mkdtemp,
  readdir,
  readFile,
  rm,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { isDeadNeighbour, processIdentity } from "./process-identity.ts";

/*
 * A directory that belongs to one process, for files that others must be able to read by their path. It is removed when
 * the process stops; those of processes that were killed are removed by the next one.
 */

const PREFIX = "job-runner-";
/** Holds the identity of the process that a directory belongs to. */
const OWNER_FILE = "owner";

/** Makes one, where `parent` is, or in the place that usualParent names. Throws what the file system does. */
export async function makeRuntimeDirectory(parent?: string): Promise<string> {
  const place = parent ?? (await usualParent());
  await removeAbandoned(place);
  const directory = await mkdtemp(join(place, PREFIX));
  await writeFile(join(directory, OWNER_FILE), processIdentity());
  return directory;
}

export function removeRuntimeDirectory(directory: string): Promise<void> {
  return rm(directory, { recursive: true, force: true });
}

/** /run where that is ours to use, as for root: what cleans /tmp on an idle host does not touch it. */
async function usualParent(): Promise<string> {
  return access("/run", constants.W_OK).then(
    () => "/run",
    () => tmpdir(),
  );
}

async function removeAbandoned(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const directory = join(parent, name);
    if (name.startsWith(PREFIX) && (await isAbandoned(directory)))
      await removeRuntimeDirectory(directory);
  }
}

/** In a directory that everybody may write to, only what is our own user's is looked at. */
async function isAbandoned(directory: string): Promise<boolean> {
  try {
    const stat = await lstat(directory);
    if (!stat.isDirectory() || stat.uid !== process.getuid?.()) return false;
    return isDeadNeighbour(await readFile(join(directory, OWNER_FILE), "utf8"));
  } catch {
    // Not one of ours, or gone by now.
    return false;
  }
}
