import type { DueCallback, SettleCallbackRequest, TakeCallbacksRequest } from "../outbox.ts";
import type { Connection } from "./connection.ts";

/*
 * The outbox: `callback` has a row for each job with a callback_url, from its submit until its client was told of its end.
 * `due_at` is null until the job has ended; then the time of the next try.
 */

/** Notes that somebody is to be told of the end of job `n`. */
export function expectCallback(db: Connection, n: number): void {
  db.run("INSERT INTO callback (n) VALUES (?)", n);
}

/** Job `n` has ended. */
export function makeCallbackDue(db: Connection, n: number, nowMs: number): void {
  db.run("UPDATE callback SET due_at = ? WHERE n = ?", nowMs, n);
}

export function forgetCallback(db: Connection, n: number): void {
  db.run("DELETE FROM callback WHERE n = ?", n);
}

/** Whether takeCallbacks would find something: asked of the reader, so that looking often costs no commit. */
export function isCallbackDue(db: Connection): boolean {
  return (
    db.get(
      "SELECT 1 FROM callback INDEXED BY callback_due WHERE due_at <= ? LIMIT 1",
      Date.now(),
    ) !== undefined
  );
}

/** Store.takeCallbacks */
export function takeCallbacks(
  db: Connection,
  { limit, visibilityMs }: TakeCallbacksRequest,
): readonly DueCallback[] {
  const nowMs = Date.now();
  return db
    .all<{ n: number; id: string; attempt: number }>(
      `SELECT n, id, attempt + 1 AS attempt FROM callback INDEXED BY callback_due JOIN job USING (n)
         WHERE due_at <= ? ORDER BY due_at LIMIT ?`,
      nowMs,
      limit,
    )
    .map(({ n, id, attempt }) => {
      db.run(
        "UPDATE callback SET due_at = ?, attempt = ? WHERE n = ?",
        nowMs + visibilityMs,
        attempt,
        n,
      );
      return { id, attempt };
    });
}

/** Store.settleCallback */
export function settleCallback(
  db: Connection,
  { id, attempt, retryInMs, isUntried = false }: SettleCallbackRequest,
): void {
  const ofThisTry = "n = (SELECT n FROM job WHERE id = ?) AND attempt = ?";
  if (retryInMs === null) db.run(`DELETE FROM callback WHERE ${ofThisTry}`, id, attempt);
  else
    db.run(
      `UPDATE callback SET due_at = ?, attempt = ? WHERE ${ofThisTry}`,
      Date.now() + retryInMs,
      isUntried ? attempt - 1 : attempt,
      id,
      attempt,
    );
}
