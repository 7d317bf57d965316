import { afterAll, beforeAll, expect, test } from "bun:test";
import { AppError } from "../../src/errors.ts";
import { watchStore } from "../../src/store/watched-store.ts";
import { overridden } from "../support/overridden.ts";
import { openWorkshop, type Workshop } from "../support/workshop.ts";

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop();
});
afterAll(() => workshop.close());

/** A watched store that can be taken away, and what its watcher was told. */
function watched() {
  const told: string[] = [];
  let isAway = false;
  let isBack = Promise.withResolvers<void>();
  const away = new AppError("store_unavailable", "no answer");
  const answerOrNot = <T>(answer: () => Promise<T>) => (isAway ? Promise.reject(away) : answer());
  const real = workshop.store;
  const store = watchStore(
    overridden(real, {
      ping: () => answerOrNot(() => real.ping()),
      get: (id) => answerOrNot(() => real.get(id)),
      claim: () => Promise.reject(away),
      list: () => Promise.reject(new AppError("invalid_query", "no such cursor")),
      waitForWork: async () => undefined,
      close: async () => void told.push("closed"),
    }),
    {
      onAway: (error) => told.push(`away: ${error.message}`),
      onBack: (awayMs) => {
        told.push("back");
        expect(awayMs).toBeGreaterThanOrEqual(0);
        isBack.resolve();
        isBack = Promise.withResolvers();
      },
    },
  );
  const setAway = (value: boolean) => (isAway = value);
  const fails = (call: Promise<unknown>) => expect(call).rejects.toThrow(AppError);
  return { store, told, setAway, fails, back: () => isBack.promise };
}

test("answers and errors come through as they are, and a store that answers is not told of", async () => {
  const { store, told } = watched();
  expect(store.kind).toBe("sqlite");
  const job = await store.submit(await workshop.prepare("true"));
  expect(await store.get(job.id)).toMatchObject({ id: job.id, status: "queued" });
  await expect(store.list({ filter: {}, limit: 1 })).rejects.toThrow("no such cursor");
  expect(told).toEqual([]);
});

test("an outage is told of once when it begins and once when it is over, whatever fails between", async () => {
  const { store, told, setAway, fails, back } = watched();
  setAway(true);
  for (let i = 0; i < 5; i++) await fails(store.ping());
  await fails(store.get("a"));
  // It resolves with or without a store.
  await store.waitForWork(1, new AbortController().signal);
  expect(told).toEqual(["away: no answer"]);
  setAway(false);
  const isBack = back();
  for (let i = 0; i < 5; i++) await store.ping();
  expect(told).toEqual(["away: no answer"]);
  await isBack;
  expect(told).toEqual(["away: no answer", "back"]);
  setAway(true);
  await fails(store.ping());
  expect(told.length).toBe(3);
});

test("a store that serves some calls and not others is away, and that is told of once", async () => {
  const { store, told, fails, back } = watched();
  const request = { owner: "me", slot: 0, token: "t" };
  const isBack = back();
  let isSettled = false;
  void isBack.then(() => (isSettled = true));
  const endMs = performance.now() + 1_500;
  while (performance.now() < endMs) {
    await fails(store.claim(request));
    await store.ping();
  }
  expect([told, isSettled]).toEqual([["away: no answer"], false]);
  await isBack;
});

test("a store that was closed is not away", async () => {
  const { store, told, setAway, fails } = watched();
  await store.close();
  setAway(true);
  await fails(store.ping());
  expect(told).toEqual(["closed"]);
});
