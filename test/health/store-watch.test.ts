import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { createStoreWatch, type StoreWatch } from "../../src/health/store-watch.ts";
import { eventually } from "../contract/store-harness.ts";
import { redisFixture } from "../store/redis/redis-fixture.ts";
import { overridden } from "../support/overridden.ts";
import { hasRedisServer } from "../support/redis-server.ts";
import { openWorkshop, type Workshop } from "../support/workshop.ts";

/** Waits for the watch to say so; resolves to the milliseconds that it took. */
async function msUntil(watch: StoreWatch, problem: ReturnType<StoreWatch["problem"]>) {
  const startedAtMs = performance.now();
  await eventually(
    () => Promise.resolve(watch.problem()),
    (seen) => seen === problem,
  );
  return performance.now() - startedAtMs;
}

describe("on SQLite", () => {
  let workshop: Workshop;
  beforeAll(async () => {
    workshop = await openWorkshop();
  });
  afterAll(() => workshop.close());

  test("a store that stops answering is silent within 3 s, and is well with its next answer", async () => {
    let hanging: PromiseWithResolvers<void> | null = null;
    const asked = Promise.withResolvers<void>();
    const store = overridden(workshop.store, {
      ping: async () => {
        await hanging?.promise;
        await workshop.store.ping();
        asked.resolve();
      },
    });
    const watch = createStoreWatch(store);
    await watch.start();
    await asked.promise;
    expect(watch.problem()).toBeNull();
    hanging = Promise.withResolvers();
    expect(await msUntil(watch, "silent")).toBeLessThan(3_000);
    hanging.resolve();
    expect(await msUntil(watch, null)).toBeLessThan(1_000);
    await watch.stop();
  });

  test("a stop does not wait for a probe that hangs", async () => {
    const store = overridden(workshop.store, { ping: () => new Promise(() => undefined) });
    const watch = createStoreWatch(store);
    await watch.start();
    await watch.stop();
    expect(watch.problem()).toBeNull();
  });
});

describe.skipIf(!hasRedisServer())("on Redis", () => {
  const fixture = redisFixture();

  test("a server at its maxmemory is full, until it has room again", async () => {
    const watch = createStoreWatch(await fixture.open());
    await watch.start();
    expect(watch.problem()).toBeNull();
    await fixture.raw().config("SET", "maxmemory", "1");
    try {
      await msUntil(watch, "full");
    } finally {
      await fixture.raw().config("SET", "maxmemory", "0");
    }
    await msUntil(watch, null);
    await watch.stop();
  });
});
