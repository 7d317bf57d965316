import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isTerminal } from "../../../src/jobs/states.ts";
import { openSqliteStore } from "../../../src/store/sqlite/open.ts";
import type { Store } from "../../../src/store/store.ts";
import { frame, recordOf, wholeLog } from "../../contract/store-harness.ts";
import type { Acknowledgement } from "./crash-child.ts";

const root = mkdtempSync(join(tmpdir(), "sqlite-crash-"));
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

/** Runs the child until it has acknowledged `atLeast` steps, kills it, and answers all that it has acknowledged. */
async function workUntilKilled(path: string, atLeast: number): Promise<Acknowledgement[]> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "crash-child.ts"), path], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const decoder = new TextDecoder();
  let printed = "";
  let lines = 0;
  for await (const bytes of child.stdout) {
    const text = decoder.decode(bytes, { stream: true });
    printed += text;
    lines += text.split("\n").length - 1;
    if (lines >= atLeast) child.kill("SIGKILL");
  }
  await child.exited;
  expect(child.signalCode).toBe("SIGKILL");
  // The last piece is empty, or a line that the kill cut in two.
  return printed
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Acknowledgement);
}

async function expectAllKept(store: Store, acknowledged: readonly Acknowledgement[]) {
  const removed = new Set(
    acknowledged.flatMap((line) => (line.kind === "removed" ? [line.id] : [])),
  );
  for (const line of acknowledged) {
    if (removed.has(line.id)) {
      expect(await store.get(line.id)).toBeNull();
      continue;
    }
    const record = await store.get(line.id);
    // A removal may have been done and its acknowledgement lost.
    if (record === null) {
      expect(acknowledged).toContainEqual({ kind: "finished", id: line.id });
      continue;
    }
    if (line.kind === "finished") expect(record.status).toBe("succeeded");
    if (line.kind !== "appended") continue;
    const { epoch, seq, text } = line;
    const [entry] = await store.readLog({ id: line.id, from: { epoch, seq }, maxBytes: 1 });
    expect(entry).toEqual({ epoch, seq, kind: "frames", frames: [frame(text)] });
  }
}

/** Every log is whole: seq counts up from 0 in each epoch, and an end entry is there exactly when the job has ended. */
async function expectWholeLogs(store: Store, ids: Iterable<string>) {
  for (const id of ids) {
    if ((await store.get(id)) === null) continue;
    const log = await wholeLog(store, id);
    const record = await recordOf(store, id);
    expect(log.at(-1)?.kind === "end").toBe(isTerminal(record.status));
    for (const epoch of record.epochs) {
      const seqs = log.filter((entry) => entry.epoch === epoch).map(({ seq }) => seq);
      expect(seqs).toEqual(seqs.map((_, index) => index));
    }
  }
}

test("kill -9 at any point loses nothing that was acknowledged", async () => {
  const path = join(root, "jobs.db");
  const seed = Date.now() % 100_000;
  console.info(`kill points from seed ${seed.toString()}`);
  const acknowledged: Acknowledgement[] = [];
  for (let round = 0; round < 6; round += 1) {
    // Wherever the first is, the six are spread over all of it.
    const atLeast = 1 + ((seed + round * 67) % 400);
    acknowledged.push(...(await workUntilKilled(path, atLeast)));
    const store = await openSqliteStore({ path });
    await expectAllKept(store, acknowledged);
    await expectWholeLogs(store, new Set(acknowledged.map(({ id }) => id)));
    // Nothing runs on: each was requeued, or has met its end.
    expect(await store.leaseOwners()).toEqual([]);
    await store.close();
    const database = new DatabaseSync(path);
    expect(database.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
    database.close();
  }
  expect(acknowledged.filter(({ kind }) => kind === "appended").length).toBeGreaterThan(50);
}, 60_000);
