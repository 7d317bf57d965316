import { afterAll, afterEach, beforeAll } from "bun:test";
import { Redis } from "ioredis";
import { keysOf, type Keys } from "../../../src/store/redis/keys.ts";
import { openRedisStore } from "../../../src/store/redis/open.ts";
import type { Store } from "../../../src/store/store.ts";
import type { StoreTiming } from "../../../src/store/timing.ts";
import {
  type RedisServer,
  type RedisServerOptions,
  startRedisServer,
} from "../../support/redis-server.ts";

/** Intervals so long that no slow machine looks like a pause of the store; tests set leases back instead of waiting. */
export const CALM_TIMING: StoreTiming = { leaseMs: 5_000, sweepIntervalMs: 20_000 };
const PREFIX = "jr";

/** One server for the tests of a `describe`, emptied after each; every store that they opened is closed. */
export interface RedisFixture {
  readonly keys: Keys;
  readonly server: () => RedisServer;
  /** A client that looks at the data from outside. */
  readonly raw: () => Redis;
  /** Another process's store on the same data; `port` to reach it by another way. */
  open(options?: { readonly timing?: StoreTiming; readonly port?: number }): Promise<Store>;
}

/** Call it inside a `describe`, which it gives the hooks. */
export function redisFixture(options: RedisServerOptions = {}): RedisFixture {
  let server: RedisServer;
  let raw: Redis;
  const stores: Store[] = [];
  beforeAll(async () => {
    server = await startRedisServer(options);
    raw = new Redis(server.url);
    // A test that kills the server expects it to be away.
    raw.on("error", () => undefined);
  });
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
    await raw.flushall();
  });
  afterAll(async () => {
    raw.disconnect();
    await server.stop();
  });
  return {
    keys: keysOf(PREFIX),
    server: () => server,
    raw: () => raw,
    open: async ({ timing = CALM_TIMING, port = server.port } = {}) => {
      const url = `redis://127.0.0.1:${port.toString()}`;
      const store = await openRedisStore({ url, prefix: PREFIX, timing });
      stores.push(store);
      return store;
    },
  };
}
