import { afterEach, expect, test } from "bun:test";
import { createServer } from "node:net";
import { once } from "node:events";

import { HttpConnection } from "../../bench/http-connection.ts";

const servers: { stop(): void }[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.stop();
});

function serve(answer: (request: Request) => Response | Promise<Response>): string {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer });
  servers.push({ stop: () => void server.stop(true) });
  return server.url.origin;
}

/** A server that sends these bytes as the answer to whatever comes, each in a packet of its own, and closes where told to. */
async function serveBytes(text: string, closes = false): Promise<string> {
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.once("data", () => {
      void (async () => {
        for (const byte of text) {
          socket.write(byte);
          await new Promise((resolve) => setImmediate(resolve));
        }
        if (closes) socket.end();
      })();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  servers.push({ stop: () => server.close() });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The server has no port");
  return `http://127.0.0.1:${address.port}`;
}

test("one connection carries answer after answer, of a given length and chunked", async () => {
  const url = serve((request) => {
    if (new URL(request.url).pathname === "/chunked")
      return new Response(
        new ReadableStream({
          async pull(controller) {
            for (const part of ["one ", "two ", "three"]) {
              controller.enqueue(part);
              await Bun.sleep(1);
            }
            controller.close();
          },
        }),
      );
    return new Response("plain", { status: 404 });
  });
  const connection = await HttpConnection.open(url);
  for (const _ of [1, 2]) {
    const plain = await connection.get("/");
    expect([plain.status, plain.body.toString()]).toEqual([404, "plain"]);
    const parts: string[] = [];
    const chunked = await connection.get("/chunked", {
      onBody: (bytes) => void parts.push(bytes.toString()),
    });
    expect([chunked.status, parts.join("")]).toEqual([200, "one two three"]);
    expect(chunked.body).toHaveLength(0);
  }
  connection.close();
});

test("a request that no socket takes at once arrives whole", async () => {
  const url = serve(async (request) => new Response(String((await request.bytes()).length)));
  const size = 8 * 1024 * 1024;
  const head = `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n`;
  const connection = await HttpConnection.open(url);
  const { body } = await connection.send(Buffer.concat([Buffer.from(head), Buffer.alloc(size)]));
  expect(body.toString()).toBe(String(size));
  connection.close();
});

test.each([
  [
    "chunked",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
  ],
  ["of a given length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde"],
])("an answer %s may be cut anywhere", async (_, answer) => {
  const connection = await HttpConnection.open(await serveBytes(answer));
  expect((await connection.get("/")).body.toString()).toBe("abcde");
  connection.close();
});

test("an answer that breaks off is an error", async () => {
  const url = await serveBytes("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", true);
  const connection = await HttpConnection.open(url);
  expect(connection.get("/")).rejects.toThrow("closed the connection");
  await connection.get("/").catch(() => undefined);
});
