import { afterEach, beforeEach, expect, test } from "bun:test";

import type { Api } from "../../src/api/app.ts";
import { OpenStreams } from "../../src/api/open-streams.ts";
import { AppError } from "../../src/errors.ts";
import { createLogHub } from "../../src/logs/hub.ts";
import type { LeaseKey, Store } from "../../src/store/store.ts";
import { appendText, claimJob, eventually } from "../contract/store-harness.ts";
import { counted, NEVER } from "../logs/hub-harness.ts";
import { call, openApi } from "../support/api.ts";
import { overridden } from "../support/overridden.ts";

const PIECE = "x".repeat(60 * 1024);
const PIECES = 20;

let parts: Awaited<ReturnType<typeof openApi>>;
let store: Store;
let lease: LeaseKey;
beforeEach(async () => {
  parts = await openApi();
  ({ store } = parts.workshop);
  const { id } = await store.submit(await parts.workshop.prepare("true"));
  lease = await claimJob(store, id);
});
afterEach(() => parts.close());

const snapshot = (api: Api) => call(api, `GET /jobs/${lease.id}/logs`);
const stream = (api: Api) => call(api, `GET /jobs/${lease.id}/logs/stream`);

async function printMuch(): Promise<void> {
  for (let seq = 1; seq <= PIECES; seq += 1) await appendText(store, lease, { seq, text: PIECE });
}

test("a snapshot has one of the places until it is read, or its client leaves", async () => {
  await printMuch();
  const api = parts.with({ streams: new OpenStreams(1, NEVER) });
  for (let turn = 0; turn < 3; turn += 1) {
    const read = await snapshot(api);
    for (const refused of [await snapshot(api), await stream(api)]) {
      expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "5"]);
      expect(await refused.json()).toMatchObject({ code: "too_many_streams" });
    }
    expect(await read.text()).toHaveLength(PIECES * PIECE.length);
    const left = await snapshot(api);
    expect(left.status).toBe(200);
    await left.body?.cancel();
    const begun = await snapshot(api);
    const reader = begun.body?.getReader();
    expect((await reader?.read())?.done).toBe(false);
    await reader?.cancel();
  }
});

test("a snapshot that breaks off for want of the store gives its place back", async () => {
  await printMuch();
  let reads = 0;
  const failing = overridden<Store>(store, {
    readLog(request) {
      reads += 1;
      if (reads === 2) return Promise.reject(new AppError("store_unavailable", "away"));
      return store.readLog(request);
    },
  });
  const api = parts.with({ store: failing, streams: new OpenStreams(1, NEVER) });
  const broken = await snapshot(api);
  expect(broken.status).toBe(200);
  expect(await broken.text().catch((error: unknown) => error)).toMatchObject({
    code: "store_unavailable",
  });
  expect(await (await snapshot(api)).text()).toHaveLength(PIECES * PIECE.length);
});

/** The API in front of a store that is watched. */
function watchedApi(closing = NEVER) {
  const { store: watched, counts } = counted(store);
  const streams = new OpenStreams(10, closing);
  return { api: parts.with({ logs: createLogHub(watched), streams }), counts, streams };
}

const untilWaiting = (counts: { readonly pendingWaits: number }, wanted: number) =>
  eventually(
    () => Promise.resolve(counts.pendingWaits),
    (pending) => pending === wanted,
  );

test("with the client of a quiet stream its wait for more goes as well, and its place", async () => {
  const { api, counts, streams } = watchedApi();
  const { body } = await stream(api);
  const reader = body?.getReader();
  for (let chunk = 0; chunk < 2; chunk += 1) await reader?.read();
  void reader?.read();
  await untilWaiting(counts, 1);
  expect(streams.count).toBe(1);
  await reader?.cancel();
  await untilWaiting(counts, 0);
  expect(streams.count).toBe(0);
});

test("a client that has left before it read anything is noticed too", async () => {
  const { api, counts, streams } = watchedApi();
  const { body } = await stream(api);
  expect(streams.count).toBe(1);
  await body?.cancel();
  expect([streams.count, counts.pendingWaits]).toEqual([0, 0]);
});

test("a stream ends when the process closes, and says so", async () => {
  const closing = new AbortController();
  const { api, counts, streams } = watchedApi(closing.signal);
  const text = (await stream(api)).text();
  await untilWaiting(counts, 1);
  closing.abort();
  expect(await text).toMatch(/event: attempt\n(.|\n)*\nretry: \d+\n/);
  expect(streams.count).toBe(0);
});
