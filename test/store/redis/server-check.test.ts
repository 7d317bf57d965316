import { afterEach, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { createServer } from "node:net";
import { openRedisStore } from "../../../src/store/redis/open.ts";
import type { Store } from "../../../src/store/store.ts";
import { freePort, hasRedisServer, startRedisServer } from "../../support/redis-server.ts";
import { redisFixture } from "./redis-fixture.ts";

const endings: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0)) await end();
});

async function refusal(opening: Promise<Store>): Promise<unknown> {
  return await opening.then(
    () => null,
    (error: unknown) => error,
  );
}

/** Stands in for a server of a version that is not installed: says so in INFO, and OK to all else. */
async function serverOfVersion(version: string): Promise<number> {
  const info = `redis_version:${version}\r\nloading:0\r\n`;
  const server = createServer((socket) => {
    socket.on("data", (chunk) => {
      const isInfo = chunk.toString().toLowerCase().includes("info");
      socket.write(isInfo ? `$${info.length.toString()}\r\n${info}\r\n` : "+OK\r\n");
    });
    endings.push(async () => {
      socket.destroy();
      await Promise.resolve();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  endings.push(async () => {
    server.close();
    await Promise.resolve();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("No port");
  return address.port;
}

describe("opening the Redis store", () => {
  test("refuses a server older than 7.0", async () => {
    const port = await serverOfVersion("6.2.14");
    const url = `redis://127.0.0.1:${port.toString()}`;
    expect(await refusal(openRedisStore({ url, prefix: "jr" }))).toMatchObject({
      name: "AppError",
      code: "store_unavailable",
      message: "Redis 7.0 or newer is needed, and this server is 6.2.14",
    });
  });

  test("says which server does not answer, without its password", async () => {
    const port = (await freePort()).toString();
    const url = `redis://:geheim@127.0.0.1:${port}`;
    const error = await refusal(openRedisStore({ url, prefix: "jr" }));
    expect(error).toMatchObject({ name: "AppError", code: "store_unavailable" });
    expect(String(error)).toContain(`127.0.0.1:${port}`);
    expect(String(error)).not.toContain("geheim");
  }, 10_000);

  test("refuses another scheme and a prefix that breaks the hash tag", async () => {
    for (const [url, prefix] of [
      ["http://localhost", "jr"],
      ["redis://local host", "jr"],
      ["redis://localhost", "a}b"],
      ["redis://localhost", ""],
    ] as const)
      expect(await refusal(openRedisStore({ url, prefix }))).toMatchObject({
        code: "store_unavailable",
      });
  });

  describe.skipIf(!hasRedisServer())("on a server that is up", () => {
    const fixture = redisFixture();

    test("refuses one that may evict keys, unless told otherwise", async () => {
      const server = await startRedisServer({ settings: { "maxmemory-policy": "allkeys-lru" } });
      endings.push(async () => await server.stop());
      const { url } = server;
      expect(await refusal(openRedisStore({ url, prefix: "jr" }))).toMatchObject({
        code: "store_unavailable",
        message:
          "Redis has maxmemory-policy allkeys-lru, so it may delete jobs that wait or run; set it to noeviction",
      });
      const store = await openRedisStore({ url, prefix: "jr", allowEviction: true });
      await store.ping();
      await store.close();
    });

    test("refuses data of another schema", async () => {
      await fixture.raw().hset(fixture.keys.meta, "schema", "2");
      expect(await refusal(fixture.open())).toMatchObject({
        code: "store_unavailable",
        message:
          "The data in Redis has schema 2 and this program speaks 1; give this installation a prefix of its own",
      });
    });

    test("refuses a wrong password at once, in the server's words", async () => {
      const server = await startRedisServer({ settings: { requirepass: "right" } });
      endings.push(async () => await server.stop());
      const port = server.port.toString();
      for (const userInfo of ["", ":wrong@"]) {
        const url = `redis://${userInfo}127.0.0.1:${port}`;
        const error = await refusal(openRedisStore({ url, prefix: "jr" }));
        expect(error).toMatchObject({ code: "store_unavailable" });
        expect(String(error)).toMatch(/NOAUTH|WRONGPASS/u);
      }
      const store = await openRedisStore({
        url: `redis://:right@127.0.0.1:${port}`,
        prefix: "jr",
      });
      await store.ping();
      await store.close();
    }, 15_000);
  });
});
