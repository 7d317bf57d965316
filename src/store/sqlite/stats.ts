import type { Priority } from "../../jobs/job.ts";
import { PRIORITIES } from "../../jobs/job.ts";
import type { StoreStats } from "../store.ts";
import type { Connection } from "./connection.ts";
import { presentWorkers } from "./presence.ts";

/** How much waits and runs. Counting walks over the queue's index: some milliseconds for a hundred thousand jobs. */
export function stats(db: Connection): StoreStats {
  const queues = PRIORITIES.map((priority) => ({ priority, ...queueOf(db, priority) }));
  const queued = (wanted: Priority) =>
    queues.find(({ priority }) => priority === wanted)?.length ?? 0;
  const submitted = queues.flatMap(({ firstSubmittedAt }) => firstSubmittedAt ?? []);
  const workers = presentWorkers(db);
  return {
    queued: { high: queued("high"), normal: queued("normal"), low: queued("low") },
    // Not below 0 although the clock went back.
    oldestQueuedAgeMs:
      submitted.length === 0 ? null : Math.max(0, Date.now() - Math.min(...submitted)),
    running: db.get<{ jobs: number }>(RUNNING)?.jobs ?? 0,
    workers: {
      count: workers.length,
      slots: workers.reduce((sum, { slots }) => sum + slots, 0),
    },
  };
}

const RUNNING = "SELECT count(*) AS jobs FROM job INDEXED BY job_running WHERE state = 'running'";

/** How many jobs of one priority wait, and when the first of them was submitted. */
function queueOf(
  db: Connection,
  priority: Priority,
): { readonly length: number; readonly firstSubmittedAt: number | undefined } {
  const rank = PRIORITIES.indexOf(priority);
  const counted = db.get<{ jobs: number }>(
    "SELECT count(*) AS jobs FROM job INDEXED BY job_queued WHERE state = 'queued' AND priority = ?",
    rank,
  );
  const first = db.get<{ created_at: number }>(
    `SELECT created_at FROM job INDEXED BY job_queued WHERE state = 'queued' AND priority = ?
       ORDER BY n LIMIT 1`,
    rank,
  );
  return { length: counted?.jobs ?? 0, firstSubmittedAt: first?.created_at };
}
