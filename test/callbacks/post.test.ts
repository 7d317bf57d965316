import { afterAll, expect, test } from "bun:test";
import { createServer } from "node:net";

import { post, type PostOptions } from "../../src/callbacks/post.ts";

/*
 * Against real servers of this machine, which are reachable only because the tests say so.
 */

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const seen: Seen[] = [];
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request) {
    const { pathname } = new URL(request.url);
    const headers = Object.fromEntries(request.headers);
    seen.push({ method: request.method, url: request.url, headers, body: await request.text() });
    if (pathname === "/moved")
      return new Response(null, { status: 307, headers: { Location: "/elsewhere" } });
    if (pathname === "/endless") return new Response(new ReadableStream({ pull: endless }));
    return new Response("thanks", { status: pathname === "/bad" ? 503 : 200 });
  },
});
afterAll(() => server.stop(true));

function endless(controller: ReadableStreamDefaultController<Uint8Array>): void {
  controller.enqueue(new Uint8Array(64 * 1024));
}

const LOOPBACK = [
  { address: "127.0.0.0", prefixBits: 8 },
  { address: "::1", prefixBits: 128 },
];

const send = (url: string, options: Partial<PostOptions> = {}) =>
  post(new URL(url), {
    headers: { "content-type": "application/json", "webhook-id": "one" },
    body: '{"é":1}',
    extraAddresses: LOOPBACK,
    timeoutMs: 5_000,
    signal: new AbortController().signal,
    ...options,
  });
const at = (path: string, host = "127.0.0.1") => `http://${host}:${server.port}${path}`;

test("a body is POSTed as it is, with its headers, and the status comes back", async () => {
  seen.length = 0;
  expect(await send(at("/ended?job=1"))).toEqual({ kind: "answered", status: 200 });
  expect(await send(at("/bad"))).toEqual({ kind: "answered", status: 503 });
  expect(seen[0]).toMatchObject({ method: "POST", url: at("/ended?job=1"), body: '{"é":1}' });
  expect(seen[0]?.headers).toMatchObject({
    "content-type": "application/json",
    "content-length": "8",
    "webhook-id": "one",
    host: `127.0.0.1:${server.port}`,
  });
});

test("a name is asked for by its name, at the address that it was judged by", async () => {
  seen.length = 0;
  expect(await send(at("/named", "localhost"))).toMatchObject({ kind: "answered", status: 200 });
  expect(seen[0]?.headers["host"]).toBe(`localhost:${server.port}`);
});

test.each([
  ["an address of this machine", "127.0.0.1"],
  ["a name that leads to it", "localhost"],
  ["an address that is written otherwise", "2130706433"],
  ["one inside of IPv6", "[::ffff:127.0.0.1]"],
  ["the unspecified address", "0.0.0.0"],
])("%s is not connected to, unless the operator adds it", async (_, host) => {
  seen.length = 0;
  const result = await send(at("/", host), { extraAddresses: [] });
  expect(result).toMatchObject({ kind: "unanswered" });
  expect(JSON.stringify(result)).toContain("no public address");
  expect(seen).toEqual([]);
});

test.each(["169.254.169.254", "10.0.0.1", "192.168.1.1", "[fd00::1]", "[fe80::1]"])(
  "%s is no place to send anything to",
  async (host) => {
    const result = await send(`http://${host}/latest/meta-data`, { extraAddresses: [] });
    expect(JSON.stringify(result)).toContain("no public address");
  },
);

test("a redirect is an answer, and is not followed", async () => {
  seen.length = 0;
  expect(await send(at("/moved"))).toEqual({ kind: "answered", status: 307 });
  expect(seen.map(({ url }) => url)).toEqual([at("/moved")]);
});

test("of an answer without an end only the beginning is taken", async () => {
  expect(await send(at("/endless"))).toEqual({ kind: "answered", status: 200 });
});

test("who does not answer in time, or hangs up, or is not there, has not answered", async () => {
  const mute = createServer();
  const hangingUp = createServer((socket) => socket.destroy());
  const ports = await Promise.all(
    [mute, hangingUp].map(
      (one) =>
        new Promise<number>((resolve) => {
          one.listen(0, "127.0.0.1", () => {
            const address = one.address();
            resolve(address !== null && typeof address === "object" ? address.port : 0);
          });
        }),
    ),
  );
  const late = await send(`http://127.0.0.1:${ports[0]}/`, { timeoutMs: 100 });
  expect(late).toEqual({ kind: "unanswered", problem: "There was no answer within 100 ms." });
  expect((await send(`http://127.0.0.1:${ports[1]}/`)).kind).toBe("unanswered");
  const stopping = new AbortController();
  const given = send(`http://127.0.0.1:${ports[0]}/`, { signal: stopping.signal });
  stopping.abort();
  expect(await given).toEqual({ kind: "unanswered", problem: "The request was given up." });
  mute.close();
  hangingUp.close();
  expect((await send(`http://127.0.0.1:${ports[1]}/`)).kind).toBe("unanswered");
  expect((await send("http://nowhere.invalid/")).kind).toBe("unanswered");
});
