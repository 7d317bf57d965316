import { AppError } from "../../errors.ts";
import { Connection } from "./connection.ts";

/**
 * Makes this process the only owner of the store at `path`, until the connection answered is closed or the process ends,
 * however it ends: the kernel drops the lock. Throws `store_unavailable` when another process owns it.
 *
 * The lock is an exclusive transaction on an empty database beside the store. `locking_mode=EXCLUSIVE` on the store
 * itself would shut out this process's own readers.
 */
export function takeOwnership(path: string): Connection {
  const lock = new Connection(`${path}.lock`, { readOnly: false });
  try {
    lock.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    lock.close();
    throw new AppError(
      "store_unavailable",
      `The job store ${path} is in use by another process; stop that one, or set REDIS_URL in both so that they share the jobs through Redis`,
      { cause },
    );
  }
  return lock;
}
