import { endNote } from "../../jobs/job.ts";
import { cancelledWithoutWorker, cpuMsOf, type Outcome } from "../../jobs/outcome.ts";
import type { CancelAnswer, FinishAnswer, FinishRequest } from "../store.ts";
import { makeCallbackDue } from "./callbacks.ts";
import { encodeEntry } from "./codec.ts";
import type { Connection } from "./connection.ts";
import { findJob, isHeldBy, type JobRow } from "./job-row.ts";
import { insertEntry, lastSeq, setLogSize } from "./log.ts";
import { countUse } from "./quota.ts";

/** A FinishAnswer, and what the end was noted as. */
export type FinishResult =
  | Exclude<FinishAnswer, { readonly kind: "finished" }>
  /** `endSeq`: that of the log's end entry; null where an earlier call has written it. */
  | { readonly kind: "finished"; readonly endSeq: number | null };

/** Ends a held job whose log is whole, or confirms that this very claim has ended it before. */
export function finish(db: Connection, request: FinishRequest): FinishResult {
  const job = findJob(db, request.id);
  if (job === undefined) return { kind: "fenced" };
  if (!isHeldBy(job, request)) {
    const wasThisClaim =
      job.finished_by_claim === 1 && job.epoch === request.epoch && job.owner === request.owner;
    return wasThisClaim ? { kind: "finished", endSeq: null } : { kind: "fenced" };
  }
  const last = lastSeq(db, job.n, request.epoch);
  if (last < request.lastSeq) return { kind: "behind", lastSeq: last };
  setLogSize(db, job.n, request.log);
  if (request.markGap === true) {
    const { epoch, log } = request;
    const { droppedBytes } = log;
    insertEntry(db, job.n, encodeEntry({ epoch, seq: last + 1, kind: "gap", droppedBytes }));
  }
  const { outcome } = request;
  const endSeq = endJob(db, job, outcome);
  db.run("UPDATE job SET finished_by_claim = 1 WHERE n = ?", job.n);
  const amount = cpuMsOf(outcome);
  if (job.key_id !== null && amount > 0)
    countUse(db, { keyId: job.key_id, counted: "cpu_ms", amount });
  return { kind: "finished", endSeq };
}

/** Ends a queued job as cancelled, or flags a running one for the worker that holds it. */
export function requestCancel(db: Connection, id: string): CancelAnswer {
  const job = findJob(db, id);
  if (job === undefined) return "unknown";
  if (job.state !== "queued" && job.state !== "running") return "ended";
  db.run("UPDATE job SET cancel_requested = 1 WHERE n = ?", job.n);
  if (job.state === "running") return "signalled";
  endJob(db, job, cancelledWithoutWorker());
  return "cancelled";
}

/**
 * The one step into a terminal state, with the log's end entry, whose seq it returns. The caller has checked that the job
 * is active.
 */
export function endJob(db: Connection, job: JobRow, outcome: Outcome): number {
  const nowMs = Date.now();
  // A job that was never claimed has no epoch and no attempt entry; its only entry takes what a claim would have taken.
  const epoch = job.epoch > 0 ? job.epoch : nowMs;
  const seq = lastSeq(db, job.n, epoch) + 1;
  insertEntry(db, job.n, encodeEntry({ epoch, seq, kind: "end", end: endNote(outcome) }));
  db.run(
    "UPDATE job SET state = ?, outcome = ?, finished_at = ? WHERE n = ?",
    outcome.status,
    JSON.stringify(outcome),
    nowMs,
    job.n,
  );
  makeCallbackDue(db, job.n, nowMs);
  return seq;
}
