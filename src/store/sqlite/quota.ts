import {
  CPU_WINDOW_MS,
  type KeyUse,
  limitReached,
  NO_USE,
  reachedLimit,
  type SubmitLimits,
  SUBMITS_WINDOW_MS,
  type WindowUse,
} from "../../jobs/quotas.ts";
import type { Connection } from "./connection.ts";

/** What is counted in windows; active jobs are counted by looking at them. */
const WINDOWS_MS = { submits: SUBMITS_WINDOW_MS, cpu_ms: CPU_WINDOW_MS } as const;
type Counted = keyof typeof WINDOWS_MS;

/** Throws `queue_full` or `quota_exceeded` where one more job would go past a limit. */
export function admit(db: Connection, keyId: string | null, limits: SubmitLimits): void {
  const use = keyId === null ? NO_USE : keyUse(db, keyId);
  const queued = limits.maxQueued === null ? 0 : queuedJobs(db);
  const reached = reachedLimit(limits, { ...use, queued });
  if (reached !== null) throw limitReached(limits, reached);
}

/** Store.keyUse */
export function keyUse(db: Connection, keyId: string): KeyUse {
  const active = db.get<{ jobs: number }>(
    "SELECT count(*) AS jobs FROM job INDEXED BY job_active_by_key WHERE key_id = ? AND finished_at IS NULL",
    keyId,
  );
  const nowMs = Date.now();
  return {
    active: active?.jobs ?? 0,
    submits: windowUse(db, { keyId, counted: "submits", nowMs }),
    cpuMs: windowUse(db, { keyId, counted: "cpu_ms", nowMs }),
  };
}

/** Walks over the queue's index: some tenths of a millisecond for the ten thousand jobs that may wait by default. */
function queuedJobs(db: Connection): number {
  const row = db.get<{ jobs: number }>(
    "SELECT count(*) AS jobs FROM job INDEXED BY job_queued WHERE state = 'queued'",
  );
  return row?.jobs ?? 0;
}

interface WindowKey {
  readonly keyId: string;
  readonly counted: Counted;
  readonly nowMs: number;
}

/** A window whose end is further away than it is long was begun by a clock that has gone back since: it is over. */
function windowUse(db: Connection, { keyId, counted, nowMs }: WindowKey): WindowUse {
  const row = db.get<{ used: number; ends_at: number }>(
    "SELECT used, ends_at FROM key_use WHERE key_id = ? AND counted = ? AND ends_at > ? AND ends_at <= ?",
    keyId,
    counted,
    nowMs,
    nowMs + WINDOWS_MS[counted],
  );
  return row === undefined
    ? { used: 0, resetMs: 0 }
    : { used: row.used, resetMs: row.ends_at - nowMs };
}

/** Adds to the window of now, or begins one. */
export function countUse(
  db: Connection,
  { keyId, counted, amount }: { keyId: string; counted: Counted; amount: number },
): void {
  const nowMs = Date.now();
  const { used, resetMs } = windowUse(db, { keyId, counted, nowMs });
  db.run(
    "INSERT OR REPLACE INTO key_use (key_id, counted, used, ends_at) VALUES (?, ?, ?, ?)",
    keyId,
    counted,
    used + amount,
    nowMs + (resetMs > 0 ? resetMs : WINDOWS_MS[counted]),
  );
}
