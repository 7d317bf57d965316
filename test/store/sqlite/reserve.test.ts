import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { Perform } from "../../../src/store/sqlite/group-commit.ts";
import {
  commitWithReserve,
  MARGIN_BYTES,
  Reserve,
  RESERVE_BYTES,
} from "../../../src/store/sqlite/reserve.ts";
import { openForReading, openForWriting } from "../../../src/store/sqlite/schema.ts";

const PAGE_BYTES = 4096;

describe("the reserve", () => {
  async function isWholeOn(diskBytes: number): Promise<unknown> {
    const onDisk = [
      "bwrap",
      "--dev-bind",
      "/",
      "/",
      "--size",
      String(diskBytes),
      "--tmpfs",
      "/mnt",
    ];
    const program = [process.execPath, join(import.meta.dir, "reserve-child.ts"), "/mnt"];
    const child = Bun.spawn([...onDisk, "--die-with-parent", "--", ...program], { stdout: "pipe" });
    const said: unknown = JSON.parse(await child.stdout.text());
    expect(await child.exited).toBe(0);
    return said;
  }

  test("is not filled from a disk that would have less than the margin left, and is from one that has it", async () => {
    const neededBytes = RESERVE_BYTES + MARGIN_BYTES;
    expect(await isWholeOn(neededBytes - PAGE_BYTES)).toEqual({ isWhole: false });
    // The file system takes a page or two for itself.
    expect(await isWholeOn(neededBytes + 4 * PAGE_BYTES)).toEqual({ isWhole: true });
  });
});

describe("commitWithReserve", () => {
  /** Far below the 5 s that a statement waits for a lock. */
  const AT_ONCE_MS = 1_000;

  test("does not wait for a reader that keeps the log from being cut, and waits for locks as before", () => {
    const directory = mkdtempSync(join(tmpdir(), "reserve-"));
    const path = join(directory, "jobs.db");
    const { db } = openForWriting(path);
    const reader = openForReading(path);
    const reserve = new Reserve(path);
    const timeoutOf = () => db.get("PRAGMA busy_timeout");
    const timeout = timeoutOf();
    try {
      reader.exec("BEGIN");
      reader.get("SELECT count(*) FROM job");
      db.exec("CREATE TABLE note (text TEXT NOT NULL)");
      // As on a full disk: SQLite says SQLITE_FULL here as it does there.
      db.exec("PRAGMA max_page_count = 1");
      const addNote: Perform = (connection) =>
        connection.run("INSERT INTO note (text) VALUES (?)", "x".repeat(10 * PAGE_BYTES));
      const startedAtMs = performance.now();
      const results = commitWithReserve(db, [{ operation: "finish", argument: null }], {
        perform: addNote,
        reserve,
      });
      const tookMs = performance.now() - startedAtMs;
      expect(results).toEqual([
        { ok: false, failure: expect.objectContaining({ code: "storage_full" }) },
      ]);
      expect(statSync(`${path}.reserve`).size).toBe(0);
      expect(tookMs).toBeLessThan(AT_ONCE_MS);
      expect(timeoutOf()).toEqual(timeout);
    } finally {
      reader.close();
      db.close();
      reserve.close();
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
