import { expect, test } from "bun:test";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";

import { ListenError, serve } from "../../src/platform/serve.ts";

test("listens on a free port, hands requests over, and stops", async () => {
  const server = serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => new Response(new URL(request.url).pathname),
  });
  expect(await (await fetch(new URL("/a", server.url))).text()).toBe("/a");
  await server.stop(0);
  await expect(fetch(new URL("/a", server.url))).rejects.toThrow();
});

test("a port that is taken is an error, not a share of somebody else's requests", async () => {
  const options = { hostname: "127.0.0.1", fetch: async () => new Response("x") };
  const first = serve({ ...options, port: 0 });
  expect(() => serve({ ...options, port: Number(first.url.port) })).toThrow(ListenError);
  await first.stop(0);
});

test("stopping closes open streams", async () => {
  const server = serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async () =>
      new Response(
        new ReadableStream({ start: (controller) => controller.enqueue(Buffer.from("x")) }),
      ),
  });
  const response = await fetch(server.url);
  const reader = response.body?.getReader();
  expect((await reader?.read())?.value).toEqual(new Uint8Array(Buffer.from("x")));
  const rest = reader?.read().then(
    ({ done }) => (done ? "closed" : "more"),
    () => "closed",
  );
  await server.stop(0);
  expect(await rest).toBe("closed");
});

/** A server that answers with what it was sent, and a connection to it. */
function openEcho() {
  const { promise: isReading, resolve } = Promise.withResolvers<void>();
  const server = serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      resolve();
      return new Response(await request.text());
    },
  });
  return { server, isReading, socket: connect(Number(server.url.port), "127.0.0.1") };
}

test("stopping waits for requests that are still being received, and takes no new ones", async () => {
  const { server, isReading, socket } = openEcho();
  socket.write("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nab");
  await isReading;
  const stopped = server.stop(20_000);
  // Longer than answers get that are being sent.
  await delay(1_500);
  await expect(fetch(server.url)).rejects.toThrow();
  socket.write("cd");
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 [^]*abcd$/);
  await stopped;
});

test("stopping does not wait for longer than it is told", async () => {
  const { server, isReading, socket } = openEcho();
  socket.on("error", () => undefined);
  socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab");
  await isReading;
  await server.stop(50);
  expect(await text(socket).catch(() => "")).not.toContain("200");
});
