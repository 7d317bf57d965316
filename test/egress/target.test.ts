import { beforeEach, describe, expect, test } from "bun:test";

import { REACHABLE, type Seen, statusOf, useProxy } from "../support/proxy.ts";

const { start, origin, send, get } = useProxy();

describe("what is not public is refused, however it is written", () => {
  let port = 0;
  const seen: Seen[] = [];
  beforeEach(async () => {
    seen.length = 0;
    port = await origin("127.0.0.1", seen);
    await start();
  });

  test.each(
    [
      ["127.0.0.1", "localhost", "LOCALHOST.", "2130706433", "0x7f.1", "127.1", "017700000001"],
      ["[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "169.254.169.254", "0"],
      ["127.0.0.2@127.0.0.1", "127.0.0.2%40@127.0.0.1"],
    ].flat(),
  )("%s", async (host) => {
    const answer = await get(`http://${host}:${port}/`);
    expect(statusOf(answer)).toBe(403);
    const direct = await send(`CONNECT ${host}:${port} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect([400, 403]).toContain(statusOf(direct));
    expect(seen).toEqual([]);
  });

  test.each(["127.0.0.2", "127.0.0.2:0", "127.0.0.2:99999", "127.0.0.2:80x", ":80", "[::1%lo]:80"])(
    "CONNECT %s",
    async (target) => {
      const answer = await send(`CONNECT ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
      expect([400, 403]).toContain(statusOf(answer));
    },
  );
});

describe("names", () => {
  test("are resolved once, and the address that was judged is connected to", async () => {
    const seen: Seen[] = [];
    const port = await origin(REACHABLE, seen);
    const inner: Seen[] = [];
    await origin("127.0.0.1", inner);
    const answers = [REACHABLE, "127.0.0.1", "127.0.0.1"];
    const asked: string[] = [];
    await start({
      resolve: async (host) => {
        asked.push(host);
        return [{ address: answers.shift() ?? "127.0.0.1" }];
      },
    });
    expect(await get(`http://rebinding.example:${port}/`)).toContain("answer to /");
    expect(asked).toEqual(["rebinding.example"]);
    expect(seen[0]?.host).toBe(`rebinding.example:${port}`);
    expect(statusOf(await get(`http://rebinding.example:${port}/`))).toBe(403);
    expect(inner).toEqual([]);
  });

  test("one bad address of several is enough", async () => {
    const port = await origin(REACHABLE);
    await start({ resolve: async () => [{ address: REACHABLE }, { address: "10.0.0.1" }] });
    expect(statusOf(await get(`http://mixed.example:${port}/`))).toBe(403);
  });

  test("outside of an allow list are not even resolved", async () => {
    const port = await origin(REACHABLE);
    const asked: string[] = [];
    await start({
      policy: { allow: ["good.example", "*.below.example"] },
      resolve: async (host) => {
        asked.push(host);
        return [{ address: REACHABLE }];
      },
    });
    const statuses: number[] = [];
    for (const host of [
      "good.example",
      "a.below.example",
      "GOOD.example.",
      "below.example",
      "bad.example",
      REACHABLE,
    ])
      statuses.push(statusOf(await get(`http://${host}:${port}/`)));
    expect(statuses).toEqual([201, 201, 201, 403, 403, 403]);
    expect(asked).toEqual(["good.example", "a.below.example", "good.example"]);
  });
});
