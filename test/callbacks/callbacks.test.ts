import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";

import { createCallbacks, type CallbacksOptions } from "../../src/callbacks/callbacks.ts";
import { AppError } from "../../src/errors.ts";
import type { Service } from "../../src/lifecycle.ts";
import type { Store } from "../../src/store/store.ts";
import {
  CALLBACK_KEY,
  type CallbackReceiver,
  startReceiver,
} from "../support/callback-receiver.ts";
import { overridden } from "../support/overridden.ts";
import { type LoggedLine, recordedLog } from "../support/recorded-log.ts";
import { openWorkshop, type Workshop } from "../support/workshop.ts";

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop();
});
afterAll(() => workshop.close());

const running: { stop(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of running.splice(0)) await one.stop();
});

function receiver(answer?: Parameters<typeof startReceiver>[0]): CallbackReceiver {
  const started = startReceiver(answer);
  running.push(started);
  return started;
}

async function start(
  store: Pick<Store, "get" | "takeCallbacks" | "settleCallback">,
  options: Partial<CallbacksOptions> = {},
): Promise<Service> {
  const service = createCallbacks(store, {
    secret: CALLBACK_KEY,
    extraAddresses: [{ address: "127.0.0.1", prefixBits: 32 }],
    view: ({ id, status }) => ({ id, status }),
    onResult: () => undefined,
    onError: (error) => console.error(error),
    log: recordedLog().log,
    retryDelaysSec: [0.01, 0.01],
    ...options,
  });
  await service.start();
  running.push(service);
  return service;
}

/** A job that has ended, whose client is to be told. */
async function endedJob(callbackUrl: string): Promise<string> {
  const { id } = await workshop.store.submit(
    await workshop.prepare("true", { spec: { callbackUrl } }),
  );
  await workshop.store.requestCancel(id);
  return id;
}

/** Resolves once a callback was `given_up` or `delivered`, to how each try ended. */
function untilSettled(): {
  readonly options: Pick<CallbacksOptions, "onResult" | "log">;
  readonly results: Promise<readonly string[]>;
  readonly lines: readonly LoggedLine[];
} {
  const results: string[] = [];
  const settled = Promise.withResolvers<readonly string[]>();
  const { log, lines } = recordedLog(({ event }) => {
    if (event !== "callback_postponed") settled.resolve(results);
  });
  return {
    options: { onResult: (result) => results.push(result), log },
    results: settled.promise,
    lines,
  };
}

test("a receiver is told once, signed, and what it says is the end of it", async () => {
  const told = receiver();
  const { options, results } = untilSettled();
  const id = await endedJob(told.url);
  await start(workshop.store, options);
  expect(await results).toEqual(["delivered"]);
  const [callback] = told.received;
  expect(callback).toMatchObject({ id, job: { id, status: "cancelled" }, isSigned: true });
  expect(callback?.headers.get("content-type")).toBe("application/json");
  expect(told.received).toHaveLength(1);
});

test("one that fails is told again, under the same id, until it takes it", async () => {
  const told = receiver((count) => new Response(null, { status: [503, 302][count - 1] ?? 200 }));
  const { options, results } = untilSettled();
  const id = await endedJob(told.url);
  await start(workshop.store, options);
  expect(await results).toEqual(["postponed", "postponed", "delivered"]);
  expect(told.received.map((each) => [each.id, each.isSigned])).toEqual([
    [id, true],
    [id, true],
    [id, true],
  ]);
});

test("one that always fails is given up, and the operator hears why, without the URL's secrets", async () => {
  const told = receiver(() => new Response(null, { status: 500 }));
  const { options, results, lines } = untilSettled();
  const id = await endedJob(`${told.url}?token=hush`);
  await start(workshop.store, options);
  expect(await results).toEqual(["postponed", "postponed", "given_up"]);
  expect(lines.at(-1)).toMatchObject({ event: "callback_given_up", level: "warn", job_id: id });
  expect(lines.at(-1)?.message).toContain("answered with 500");
  expect(JSON.stringify(lines)).not.toContain("hush");
});

test("one that wants no more (410) is told no more", async () => {
  const told = receiver(() => new Response(null, { status: 410 }));
  const { options, results } = untilSettled();
  await endedJob(told.url);
  await start(workshop.store, options);
  expect(await results).toEqual(["given_up"]);
});

test("an address that is not public is not told", async () => {
  const told = receiver();
  const { options, results, lines } = untilSettled();
  await endedJob(told.url);
  await start(workshop.store, { ...options, extraAddresses: [], retryDelaysSec: [] });
  expect(await results).toEqual(["given_up"]);
  expect(lines.at(-1)?.message).toContain("no public address");
  expect(told.received).toEqual([]);
});

test("a receiver that does not answer does not keep the others waiting, however many jobs it is to hear of", async () => {
  const speaking = Promise.withResolvers<void>();
  const mute = receiver(() => speaking.promise.then(() => new Response("at last")));
  const quick = receiver();
  const muted = await Promise.all(Array.from({ length: 150 }, () => endedJob(mute.url)));
  const id = await endedJob(quick.url);
  const results: string[] = [];
  const allTold = Promise.withResolvers<void>();
  await start(workshop.store, {
    onResult: (result) => {
      results.push(result);
      if (results.length === muted.length + 1) allTold.resolve();
    },
  });
  // While not one of the others is answered.
  expect((await quick.nth(1)).id).toBe(id);
  expect(mute.received.length).toBeLessThan(muted.length);
  speaking.resolve();
  await allTold.promise;
  expect(new Set(results)).toEqual(new Set(["delivered"]));
  expect(new Set(mute.received.map((each) => each.id))).toEqual(new Set(muted));
  expect(mute.received).toHaveLength(muted.length);
});

test("a try that is cut off by the end of the process is made by the next one", async () => {
  const hung = Promise.withResolvers<Response>();
  const told = receiver((count) => (count === 1 ? hung.promise : new Response("ok")));
  const id = await endedJob(told.url);
  const first = await start(workshop.store);
  await told.nth(1);
  await first.stop();
  const { options, results } = untilSettled();
  await start(workshop.store, options);
  expect(await results).toEqual(["delivered"]);
  expect((await told.nth(2)).id).toBe(id);
  hung.resolve(new Response("late"));
});

test("a store that is away for a while is asked again", async () => {
  const told = receiver();
  const id = await endedJob(told.url);
  const errors: unknown[] = [];
  const away = overridden(workshop.store, {
    takeCallbacks: async (request) => {
      if (errors.length === 0) throw new AppError("store_unavailable", "away");
      return await workshop.store.takeCallbacks(request);
    },
  });
  const { options, results } = untilSettled();
  await start(away, { ...options, onError: (error) => errors.push(error) });
  expect(await results).toEqual(["delivered"]);
  expect(told.received[0]?.id).toBe(id);
  expect(errors).toHaveLength(1);
});
