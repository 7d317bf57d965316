import { expect, test } from "bun:test";

import { ListenError, serve } from "../../src/platform/serve.ts";

test("listens on a free port, hands requests over, and stops", async () => {
  const server = serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => new Response(new URL(request.url).pathname),
  });
  expect(await (await fetch(new URL("/a", server.url))).text()).toBe("/a");
  await server.stop();
  await expect(fetch(new URL("/a", server.url))).rejects.toThrow();
});

test("a port that is taken is an error, not a share of somebody else's requests", async () => {
  const options = { hostname: "127.0.0.1", fetch: async () => new Response("x") };
  const first = serve({ ...options, port: 0 });
  expect(() => serve({ ...options, port: Number(first.url.port) })).toThrow(ListenError);
  await first.stop();
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
  await server.stop();
  expect(await rest).toBe("closed");
});
