import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { type FileHandle, mkdir, open, rename, stat, unlink } from "node:fs/promises";
import { dirname } from "node:path";

import { messageOf } from "../errors.ts";
import { errno, syncFolder } from "../platform/file-system.ts";
import type { ApiKey } from "./api-key.ts";
import { decodeKeys, encodeKeys } from "./key-records.ts";

/*
 * The keys of an installation, in one file of its data directory, whatever its store is: the processes of a Redis
 * deployment share that directory as well. It is written by the command src/keys.ts alone.
 */

/** Of JOB_DATA_DIR. */
export const KEY_FILE = "keys.json";

/** The file cannot be used: a sentence for the operator. */
export class KeyFileError extends Error {
  override readonly name = "KeyFileError";
}

/** Every key there ever was, by its id; empty where there is no file. Throws KeyFileError. */
export async function readKeyFile(path: string): Promise<ReadonlyMap<string, ApiKey>> {
  try {
    const file = await openKeyFile(path);
    try {
      const keys = decodeKeys(await file.readFile("utf8"));
      return new Map(keys.map((key) => [key.id, key]));
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errno(error) === "ENOENT") return new Map();
    throw new KeyFileError(
      `The file of API keys, ${path} in JOB_DATA_DIR, cannot be read: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
}

/** Without waiting for a writer, should it be a pipe: whoever waited for one would keep a thread for good. */
async function openKeyFile(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new Error("it is no regular file");
}

/**
 * A text that is another one after each change of the file, and after each change of whether and why it cannot be opened. The
 * file is opened, for that is what makes sure on a network volume that it is seen as it is (NFS, "close-to-open"). At once, for
 * each call of a client asks: by way of a thread it takes ten times the ten microseconds.
 */
export function versionOfKeyFile(path: string): string {
  let file: number | undefined;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { ino, mtimeNs, size } = fstatSync(file, { bigint: true });
    return [ino, mtimeNs, size].join(" ");
  } catch (error) {
    return errno(error);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/**
 * Replaces the file by what `change` makes of its keys, which is on the disk once this has resolved. The file that is
 * written beside it is the lock of the command as well: of two changes at a time neither is lost. Throws KeyFileError, and
 * what `change` throws.
 */
export async function changeKeyFile(
  path: string,
  change: (keys: ReadonlyMap<string, ApiKey>) => readonly ApiKey[],
): Promise<void> {
  await makeDataDirectory(dirname(path));
  const next = `${path}.next`;
  const file = await openAlone(next);
  try {
    const text = encodeKeys(change(await readKeyFile(path)));
    await unlessRefused(path, async () => {
      await giveToOwnerOf(dirname(path), file);
      await file.writeFile(text);
      await file.sync();
      await rename(next, path);
    });
  } catch (error) {
    await unlink(next);
    throw error;
  } finally {
    await file.close();
  }
  await unlessRefused(path, () => syncFolder(dirname(path)));
}

/** Makes JOB_DATA_DIR where it is not there. Throws KeyFileError. */
export async function makeDataDirectory(path: string): Promise<void> {
  await unlessRefused(path, () => mkdir(path, { recursive: true, mode: 0o700 }));
}

/** Throws KeyFileError in place of what the file system throws. */
export async function unlessRefused<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (errno(error) === "") throw error;
    throw refusal(path, error);
  }
}

function refusal(path: string, error: unknown): KeyFileError {
  const sentence = `${path} cannot be used (is JOB_DATA_DIR the service's data folder?)`;
  return new KeyFileError(`${sentence}: ${messageOf(error)}`, { cause: error });
}

async function openAlone(path: string): Promise<FileHandle> {
  try {
    return await open(path, "wx", 0o600);
  } catch (error) {
    if (errno(error) !== "EEXIST") throw refusal(path, error);
    throw new KeyFileError(
      `${path} is there: another command is changing the keys. If none is, remove that file and try again.`,
    );
  }
}

/** Root may make a key for a service that runs as somebody else, who could not read root's file. */
async function giveToOwnerOf(directory: string, file: FileHandle): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(directory);
  await file.chown(uid, gid);
}
