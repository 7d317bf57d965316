import { afterAll, afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { AppError } from "../../../src/errors.ts";
import { openSqliteStore } from "../../../src/store/sqlite/open.ts";
import { newJob, recordOf } from "../../contract/store-harness.ts";

/*
 * Nothing that a caller can ask for ends a database thread, so these tests watch which threads are started, and end them.
 */

const root = mkdtempSync(join(tmpdir(), "thread-link-"));
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

let lastFile = 0;
/** The store listens to each thread that it starts. */
const watchListening = () => spyOn(Worker.prototype, "on");
let listening: ReturnType<typeof watchListening>;
beforeEach(() => {
  lastFile += 1;
  listening = watchListening();
});
afterEach(() => {
  listening.mockRestore();
});

/** The threads started in this test: the writer, then the reader. */
function threads(): readonly Worker[] {
  return [...new Set(listening.mock.contexts as readonly Worker[])];
}

async function end(thread: Worker | undefined): Promise<void> {
  if (thread === undefined) throw new Error("No such thread");
  const exited = once(thread, "exit");
  await thread.terminate();
  await exited;
}

function open(onFatal: (error: AppError) => void = () => undefined) {
  return openSqliteStore({ path: join(root, `${lastFile.toString()}.db`), onFatal });
}

const errorOf = async (step: Promise<unknown>): Promise<unknown> =>
  await step.then(
    () => null,
    (error: unknown) => error,
  );
const UNAVAILABLE = { name: "AppError", code: "store_unavailable" };

test("a store whose thread ends before its first word is refused", async () => {
  const opening = errorOf(open());
  await end(threads()[0]);
  expect(await opening).toMatchObject(UNAVAILABLE);
});

test("a dead thread is told once, with a sentence, and its calls are refused", async () => {
  const told: AppError[] = [];
  const store = await open((error) => told.push(error));
  const { id } = await store.submit(newJob());
  const [writer, reader] = threads();
  const underWay = errorOf(store.submit(newJob()));
  await end(writer);
  // Done before the end, or refused: but answered.
  expect([null, "store_unavailable"]).toContain(
    ((await underWay) as AppError | null)?.code ?? null,
  );
  expect(told).toMatchObject([UNAVAILABLE]);
  expect(told[0]?.message).toContain("thread");
  expect(await errorOf(store.submit(newJob()))).toMatchObject(UNAVAILABLE);
  expect(await errorOf(store.ping())).toMatchObject(UNAVAILABLE);
  expect((await recordOf(store, id)).status).toBe("queued");
  await end(reader);
  expect(await errorOf(store.get(id))).toMatchObject(UNAVAILABLE);
  await store.close();
  expect(told).toHaveLength(1);
});

test("a store that is closed, or was never opened, tells nothing", async () => {
  const told: AppError[] = [];
  const store = await open((error) => told.push(error));
  const exits = threads().map(async (thread) => await once(thread, "exit"));
  // The file has its owner.
  expect(await errorOf(open((error) => told.push(error)))).toMatchObject(UNAVAILABLE);
  await store.close();
  await Promise.all(exits);
  expect(told).toEqual([]);
});
