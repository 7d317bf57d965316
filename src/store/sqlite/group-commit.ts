import { AppError, messageOf } from "../../errors.ts";
import type { Connection } from "./connection.ts";
import type { Call, CallResult, Failure } from "./messages.ts";

/** Does one call's work on a connection. */
export type Perform = (db: Connection, call: Call) => unknown;

/** Primary result codes, https://sqlite.org/rescode.html */
const SQLITE_FULL = 13;

/**
 * Does all calls in one transaction: one fsync for many. The results hold what is durable: none is `ok` before the
 * commit has succeeded. A call that fails takes its own changes back and nobody else's.
 *
 * A full disk is different: SQLite then rolls the whole transaction back, savepoints included, and would commit what
 * follows statement by statement. So each call is then tried alone: what still fits is done, e.g. the end of a job, and
 * only what does not fit is refused.
 */
export function commitTogether(
  db: Connection,
  calls: readonly Call[],
  perform: Perform,
): readonly CallResult[] {
  try {
    return transact(db, calls, perform);
  } catch (error) {
    if (isDiskFull(error) && calls.length > 1)
      return calls.flatMap((call) => commitTogether(db, [call], perform));
    const failure = failureOf(error);
    return calls.map(() => ({ ok: false, failure }));
  }
}

/** Throws what ended the transaction; nothing of it is stored then. */
function transact(db: Connection, calls: readonly Call[], perform: Perform): readonly CallResult[] {
  db.exec("BEGIN IMMEDIATE");
  try {
    const results = calls.map((call) => performInSavepoint(db, call, perform));
    db.exec("COMMIT");
    return results;
  } catch (error) {
    if (db.isTransaction) db.exec("ROLLBACK");
    throw error;
  }
}

/** Throws when the transaction around it is gone, or is to go. */
function performInSavepoint(db: Connection, call: Call, perform: Perform): CallResult {
  db.exec("SAVEPOINT one_call");
  try {
    const value = perform(db, call);
    db.exec("RELEASE one_call");
    return { ok: true, value };
  } catch (error) {
    if (isDiskFull(error) || !db.isTransaction) throw error;
    db.exec("ROLLBACK TO one_call; RELEASE one_call");
    return { ok: false, failure: failureOf(error) };
  }
}

/** What to tell the caller of an operation that threw. */
export function failureOf(error: unknown): Failure {
  if (error instanceof AppError) {
    const { code, message, fields, retryAfterSec } = error;
    return { code, message, fields, ...(retryAfterSec !== undefined && { retryAfterSec }) };
  }
  const message = messageOf(error);
  if (isDiskFull(error))
    return { code: "storage_full", message: `The disk of the job store is full: ${message}` };
  return sqliteCode(error) === null
    ? { code: "internal", message: `The job store failed: ${message}` }
    : { code: "store_unavailable", message: `The job store cannot be used: ${message}` };
}

function isDiskFull(error: unknown): boolean {
  return sqliteCode(error) === SQLITE_FULL;
}

/** The primary result code of an error of SQLite's own, null for any other. */
function sqliteCode(error: unknown): number | null {
  if (!(error instanceof Error) || !("errcode" in error)) return null;
  // The low byte; the rest tells variants of it apart.
  return typeof error.errcode === "number" ? error.errcode & 0xff : null;
}
