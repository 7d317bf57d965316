import { open } from "node:fs/promises";

/** The name of a system call's error, such as ENOENT; empty for any other error. */
export function errno(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** Puts a folder's entries on the disk: a file that was made or renamed is there for good only then. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
