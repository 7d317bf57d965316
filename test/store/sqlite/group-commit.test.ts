import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppError } from "../../../src/errors.ts";
import type { Connection } from "../../../src/store/sqlite/connection.ts";
import { commitTogether, failureOf, type Perform } from "../../../src/store/sqlite/group-commit.ts";
import { openForReading, openForWriting } from "../../../src/store/sqlite/schema.ts";

let directory: string;
let db: Connection;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "group-commit-"));
  ({ db } = openForWriting(join(directory, "jobs.db")));
  db.exec("CREATE TABLE note (text TEXT NOT NULL)");
});

afterEach(() => {
  db.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Adds a note; `throw` fails after having written. */
const addNote: Perform = (connection, call) => {
  const text = String(call.argument);
  connection.run("INSERT INTO note (text) VALUES (?)", text);
  if (call.operation === "throw") throw new Error(`No ${text}`);
  return text.length;
};

const add = (text: string) => ({ operation: "add", argument: text });

/** What another connection sees: what is committed, and nothing else. */
function committedNotes(): readonly string[] {
  const reader = openForReading(join(directory, "jobs.db"));
  const rows = reader.all<{ text: string }>("SELECT text FROM note ORDER BY rowid");
  reader.close();
  return rows.map(({ text }) => text.slice(0, 10));
}

describe("commitTogether", () => {
  test("answers in order, once all is committed", () => {
    expect(commitTogether(db, [add("a"), add("bb")], addNote)).toEqual([
      { ok: true, value: 1 },
      { ok: true, value: 2 },
    ]);
    expect(committedNotes()).toEqual(["a", "bb"]);
    expect(db.isTransaction).toBe(false);
  });

  test("a call that throws takes back its own changes only", () => {
    const results = commitTogether(
      db,
      [add("a"), { operation: "throw", argument: "b" }, add("c")],
      addNote,
    );
    expect(results.map(({ ok }) => ok)).toEqual([true, false, true]);
    expect(results[1]).toEqual({
      ok: false,
      failure: { code: "internal", message: "The job store failed: No b" },
    });
    expect(committedNotes()).toEqual(["a", "c"]);
  });

  test("on a full disk refuses what does not fit and stores the rest, nothing in between", () => {
    const pages = db.get<{ page_count: number }>("PRAGMA page_count")?.page_count ?? 0;
    db.exec(`PRAGMA max_page_count = ${(pages + 2).toString()}`);
    const big = `big ${"x".repeat(100_000)}`;
    const results = commitTogether(db, [add("a"), add(big), add("c"), add(big), add("e")], addNote);
    expect(results.map(({ ok }) => ok)).toEqual([true, false, true, false, true]);
    expect(results[1]).toMatchObject({ failure: { code: "storage_full" } });
    expect(committedNotes()).toEqual(["a", "c", "e"]);
    expect(db.isTransaction).toBe(false);
    expect(db.get("PRAGMA integrity_check")).toEqual({ integrity_check: "ok" });

    // Room again: it goes on as if nothing had been.
    db.exec("PRAGMA max_page_count = 1000000");
    expect(commitTogether(db, [add(big)], addNote)[0]).toMatchObject({ ok: true });
  });

  test("refuses every call while it cannot begin", () => {
    const { db: other } = openForWriting(join(directory, "jobs.db"));
    other.exec("BEGIN IMMEDIATE");
    db.exec("PRAGMA busy_timeout = 1");
    const results = commitTogether(db, [add("a"), add("b")], addNote);
    for (const result of results)
      expect(result).toMatchObject({ ok: false, failure: { code: "store_unavailable" } });
    other.exec("ROLLBACK");
    other.close();
    expect(commitTogether(db, [add("a")], addNote)).toEqual([{ ok: true, value: 1 }]);
  });
});

test("failureOf keeps all that an error of ours tells", () => {
  const fields = [{ pointer: "/cursor", detail: "No" }];
  expect(failureOf(new AppError("invalid_query", "No", { fields }))).toEqual({
    code: "invalid_query",
    message: "No",
    fields,
  });
  expect(failureOf(new AppError("queue_full", "No", { retryAfterSec: 5 }))).toEqual({
    code: "queue_full",
    message: "No",
    fields: [],
    retryAfterSec: 5,
  });
});
