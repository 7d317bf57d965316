import { mkdirSync } from "node:fs";
import { dirname } from "node:path";

import { AppError } from "../../errors.ts";
import type { Store } from "../store.ts";
import type { Reads, Writes } from "./operations.ts";
import { SqliteStore } from "./sqlite-store.ts";
import { ThreadLink } from "./thread-link.ts";

export interface SqliteStoreOptions {
  /** The database file; further ones of its name and `-wal`, `-shm`, `.lock` and `.reserve` stand beside it. */
  readonly path: string;
  /**
   * Called once if a thread of an open store dies, with a `store_unavailable` that says so in a sentence. From then on
   * every call that needs it rejects, for good: only opening the file anew, in a new process, helps.
   */
  readonly onFatal?: (error: AppError) => void;
}

/**
 * Opens the embedded store in the file `path`, creating it and its directory when they are missing. One process may have
 * it open; its claims end with it, so whatever was running is treated as crashed.
 * @throws AppError `store_unavailable` when another process has it open, or when the file or its directory cannot be
 * used (it has another schema, is no database, may not be written); `storage_full` when its disk is.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const { path } = options;
  let { onFatal } = options;
  // Both threads may die, of the same cause.
  const onDeath = (error: AppError) => {
    const tell = onFatal;
    onFatal = undefined;
    tell?.(error);
  };
  try {
    mkdirSync(dirname(path), { recursive: true });
  } catch (cause) {
    throw new AppError("store_unavailable", `The directory of ${path} cannot be made`, { cause });
  }
  const writer = await ThreadLink.open<Writes>({ role: "write", path }, onDeath);
  try {
    const reader = await ThreadLink.open<Reads>({ role: "read", path }, onDeath);
    return new SqliteStore(writer, reader, await writer.recovered());
  } catch (error) {
    await writer.close();
    throw error;
  }
}
