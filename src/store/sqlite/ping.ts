import { statfsSync } from "node:fs";

import type { Connection } from "./connection.ts";

/** With more free than this, writes of the usual size fit, and none is tried. */
const NEARLY_FULL_BYTES = 1024 * 1024;

/** Answers that this connection reads. */
export function pingReader(db: Connection): void {
  db.get("SELECT 1");
}

/**
 * Inside a transaction: answers that this connection has the file's write lock, and that the disk has room. That is asked
 * of the file system, so that an idle service leaves its disk alone. Only on one that is nearly full is it tried, with a
 * page that changes nothing: what the write-ahead log still has room for is known to SQLite alone. Throws what SQLite says.
 */
export function pingWriter(db: Connection): void {
  const { bavail, bsize } = statfsSync(db.path);
  if (bavail * bsize >= NEARLY_FULL_BYTES) return;
  const version = db.get<{ user_version: number }>("PRAGMA user_version")?.user_version ?? 0;
  // Writes the first page even where the number stays the same.
  db.exec(`PRAGMA user_version = ${version.toString()}`);
}
