import type { WorkerInfo } from "../store.ts";
import type { Connection } from "./connection.ts";

/** How long an announcement counts, see Store.workers. */
const PRESENT_MS = 120_000;

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
  db.run("DELETE FROM worker WHERE seen_at < ?", nowMs - PRESENT_MS);
}

/** The workers present; when there are none, the last that was. */
export function workers(db: Connection): readonly WorkerInfo[] {
  const rows = db.all<{ seen_at: number; info: string }>(
    "SELECT seen_at, info FROM worker ORDER BY seen_at DESC",
  );
  const oldestMs = Date.now() - PRESENT_MS;
  const present = rows.filter(({ seen_at }) => seen_at >= oldestMs);
  const chosen = present.length > 0 ? present : rows.slice(0, 1);
  return chosen.map(({ info }) => JSON.parse(info) as WorkerInfo);
}
