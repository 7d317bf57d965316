import type { WorkerInfo } from "../store.ts";
import { WORKER_PRESENT_MS } from "../timing.ts";
import type { Connection } from "./connection.ts";

/** Remembers what a worker offers, and forgets those that have fallen silent. */
export function announceWorker(db: Connection, info: WorkerInfo): void {
  const nowMs = Date.now();
  db.run(
    `INSERT INTO worker (owner, seen_at, info) VALUES (?, ?, ?)
       ON CONFLICT (owner) DO UPDATE SET seen_at = excluded.seen_at, info = excluded.info`,
    info.owner,
    nowMs,
    JSON.stringify(info),
  );
  // This one is the last that announced itself, so that no older one will be asked for again.
  db.run("DELETE FROM worker WHERE seen_at < ?", nowMs - WORKER_PRESENT_MS);
}

/** The workers present; when there are none, the last that was. */
export function workers(db: Connection): readonly WorkerInfo[] {
  const present = presentWorkers(db);
  return present.length > 0 ? present : announced(db, 0).slice(0, 1);
}

/** The workers that announced themselves lately. */
export function presentWorkers(db: Connection): readonly WorkerInfo[] {
  return announced(db, Date.now() - WORKER_PRESENT_MS);
}

/** Those that announced themselves since then, the latest first. */
function announced(db: Connection, sinceMs: number): readonly WorkerInfo[] {
  return db
    .all<{ info: string }>(
      "SELECT info FROM worker WHERE seen_at >= ? ORDER BY seen_at DESC",
      sinceMs,
    )
    .map(({ info }) => JSON.parse(info) as WorkerInfo);
}
