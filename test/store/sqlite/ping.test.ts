import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { commitTogether } from "../../../src/store/sqlite/group-commit.ts";
import { pingWriter } from "../../../src/store/sqlite/ping.ts";
import { openForWriting } from "../../../src/store/sqlite/schema.ts";

/*
 * What it answers on a full disk is asked by full-disk.test.ts, where what is held back is spent, and by
 * e2e/readiness.test.ts, where it is not.
 */

test("a ping writes nothing to a disk that has room", () => {
  const directory = mkdtempSync(join(tmpdir(), "ping-"));
  const path = join(directory, "jobs.db");
  const { db } = openForWriting(path);
  const logBytes = () => statSync(`${path}-wal`).size;
  try {
    db.exec("CREATE TABLE note (text TEXT NOT NULL)");
    const before = logBytes();
    expect(before).toBeGreaterThan(0);
    expect(commitTogether(db, [{ operation: "ping", argument: undefined }], pingWriter)).toEqual([
      { ok: true, value: undefined },
    ]);
    expect(logBytes()).toBe(before);
    db.exec("INSERT INTO note (text) VALUES ('x')");
    expect(logBytes()).toBeGreaterThan(before);
  } finally {
    db.close();
    rmSync(directory, { recursive: true, force: true });
  }
});
