import { afterAll, beforeAll, describe } from "bun:test";
import { Redis } from "ioredis";
import { keysOf } from "../../src/store/redis/keys.ts";
import { openRedisStore } from "../../src/store/redis/open.ts";
import type { Store } from "../../src/store/store.ts";
import { storeContract } from "../contract/store-contract.ts";
import type { StoreHarness } from "../contract/store-harness.ts";
import { hasRedisServer, type RedisServer, startRedisServer } from "../support/redis-server.ts";

const timing = { leaseMs: 1_000, sweepIntervalMs: 100 };

describe.skipIf(!hasRedisServer())("redis", () => {
  let server: RedisServer;
  let raw: Redis;
  const prefixOf = new Map<Store, string>();
  let stores = 0;

  beforeAll(async () => {
    server = await startRedisServer();
    raw = new Redis(server.url);
  });
  afterAll(async () => {
    raw.disconnect();
    await server.stop();
  });

  const openAt = async (prefix: string): Promise<Store> => {
    const store = await openRedisStore({ url: server.url, prefix, timing });
    prefixOf.set(store, prefix);
    return store;
  };

  const harness: StoreHarness = {
    timing,
    leasesExpire: true,
    open: async () => {
      stores += 1;
      return await openAt(`test-${stores.toString()}`);
    },
    second: async (store) => await openAt(prefixOf.get(store) ?? ""),
    reopen: async (store) => {
      await store.close();
      return await openAt(prefixOf.get(store) ?? "");
    },
    age: async (store, id, byMs) => {
      const key = (name: string) => `{${prefixOf.get(store) ?? ""}}:${name}`;
      await raw.zincrby(key("all"), -byMs * 1_000, id);
      await raw.hincrby(key(`job:${id}`), "created", -byMs);
    },
    endWindows: async (store, keyId) => {
      const { submits, cpuMs } = keysOf(prefixOf.get(store) ?? "").ofKey(keyId);
      await raw.del(submits, cpuMs);
    },
    loseTail: async (store, id, lastSeq) => {
      const prefix = prefixOf.get(store) ?? "";
      const log = `{${prefix}}:log:${id}`;
      const items = await raw.xrangeBuffer(log, "-", "+");
      await raw.del(log);
      for (const [entryId, fields] of items)
        if (Number(entryId.toString().split("-")[1]) <= lastSeq)
          await raw.xadd(log, entryId, ...fields);
      await raw.hset(`{${prefix}}:job:${id}`, "seq", lastSeq);
    },
    cleanup: async () => {
      for (const store of prefixOf.keys()) await store.close();
      prefixOf.clear();
      await raw.flushall();
    },
  };

  storeContract("redis", harness);
});
