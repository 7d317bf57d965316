import { afterEach, beforeEach, expect, test } from "bun:test";

import { AppError } from "../../src/errors.ts";
import type { StreamName } from "../../src/jobs/log-entry.ts";
import { openSnapshot, readSnapshot } from "../../src/logs/snapshot.ts";
import type { LeaseKey, Store } from "../../src/store/store.ts";
import { appendText, EMPTY_LOG, frame, recordOf, runningJob } from "../contract/store-harness.ts";
import { overridden } from "../support/overridden.ts";
import { openWorkshop, type Workshop } from "../support/workshop.ts";

const KIB = 1024;

let workshop: Workshop;
let store: Store;
let lease: LeaseKey;
beforeEach(async () => {
  workshop = await openWorkshop();
  ({ store } = workshop);
  lease = await runningJob(store);
});
afterEach(() => workshop.close());

async function open(on: Pick<Store, "readLog" | "lastEntryId"> = store, stream?: StreamName) {
  return readSnapshot(await openSnapshot(on, await recordOf(store, lease.id), "latest"), stream);
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<readonly Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

test("a log of single lines comes in few chunks, and a large one as it is", async () => {
  let text = "";
  for (let seq = 1; seq <= 300; seq += 1) {
    const line = `line ${seq}\n`;
    text += line;
    await appendText(store, lease, { seq, text: line });
  }
  for (let seq = 301; seq <= 310; seq += 1) {
    text += "x".repeat(60 * KIB);
    await appendText(store, lease, { seq, text: "x".repeat(60 * KIB) });
  }
  const chunks = await collect(await open());
  expect(Buffer.concat(chunks).toString() === text).toBe(true);
  // The lines together, with a large one or without, and each large one by itself.
  expect(chunks.length).toBeLessThanOrEqual(11);
  for (const { length } of chunks) expect(length).toBeLessThanOrEqual(64 * KIB);
});

test("one stream comes without the other", async () => {
  const frames = [frame("out 1\n"), frame("err\n", "stderr"), frame("out 2\n")];
  await store.append({ ...lease, seq: 1, body: { kind: "frames", frames }, log: EMPTY_LOG });
  const read = async (stream?: StreamName) =>
    Buffer.concat(await collect(await open(store, stream))).toString();
  expect(await read("stdout")).toBe("out 1\nout 2\n");
  expect(await read("stderr")).toBe("err\n");
  expect(await read()).toBe("out 1\nerr\nout 2\n");
});

test("it ends where the log ended when it began, whatever is printed meanwhile", async () => {
  for (let seq = 1; seq <= 20; seq += 1)
    await appendText(store, lease, { seq, text: `${seq}`.padEnd(40 * KIB) });
  const chunks = await open();
  const first = await chunks.next();
  await appendText(store, lease, { seq: 21, text: "later" });
  let bytes = first.value?.length ?? 0;
  for await (const chunk of chunks) bytes += chunk.length;
  expect(bytes).toBe(20 * 40 * KIB);
});

test("one page is read ahead, and no more", async () => {
  for (let seq = 1; seq <= 40; seq += 1)
    await appendText(store, lease, { seq, text: "x".repeat(60 * KIB) });
  let reads = 0;
  const counting = overridden<Store>(store, {
    readLog(request) {
      reads += 1;
      return store.readLog(request);
    },
  });
  const chunks = await open(counting);
  await chunks.next();
  await chunks.next();
  expect(reads).toBe(2);
  await chunks.return(undefined);
});

test("a store that fails in the middle breaks it off; who has left by then is not troubled", async () => {
  for (let seq = 1; seq <= 20; seq += 1)
    await appendText(store, lease, { seq, text: "x".repeat(60 * KIB) });
  let reads = 0;
  const failing = overridden<Store>(store, {
    readLog(request) {
      reads += 1;
      if (reads % 2 === 0) return Promise.reject(new AppError("store_unavailable", "away"));
      return store.readLog(request);
    },
  });
  const broken = await collect(await open(failing)).catch((error: unknown) => error);
  expect(broken).toMatchObject({ code: "store_unavailable" });
  const left = await open(failing);
  await left.next();
  await left.return(undefined);
  expect(reads).toBe(4);
});

test("it may be read again, and is the same", async () => {
  await appendText(store, lease, { seq: 1, text: "one" });
  const snapshot = await openSnapshot(store, await recordOf(store, lease.id), "latest");
  const read = async () =>
    Buffer.concat(await collect(readSnapshot(snapshot, undefined))).toString();
  expect(await read()).toBe("one");
  await appendText(store, lease, { seq: 2, text: "two" });
  expect(await read()).toBe("one");
});
