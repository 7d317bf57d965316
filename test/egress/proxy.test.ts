import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttpServer, type IncomingMessage, type Server } from "node:http";
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Server as TcpServer,
  type Socket,
} from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { parseAddressRange } from "../../src/egress/addresses.ts";
import { type Proxy, type ProxyOptions, startProxy } from "../../src/egress/proxy.ts";
import type { TargetRules } from "../../src/egress/target.ts";

/* Real servers on addresses of the loopback range: 127.0.0.2 is made reachable, 127.0.0.1 is what must not be. */

const REACHABLE = "127.0.0.2";
const extraAddresses = [parseAddressRange(REACHABLE)!];
const directory = mkdtempSync(join(tmpdir(), "job-runner-proxy-"));
const socketPath = join(directory, "proxy.sock");
let proxy: Proxy | undefined;
let servers: (Server | TcpServer)[] = [];

afterEach(async () => {
  await proxy?.close();
  proxy = undefined;
  for (const server of servers) server.close();
  servers = [];
});
afterEach(() => expect(existsSync(socketPath)).toBe(false));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));

async function start(
  rules: Partial<TargetRules> = {},
  options: Partial<ProxyOptions> = {},
): Promise<void> {
  proxy = await startProxy({
    socketPath,
    rules: { policy: "full", extraAddresses, ...rules },
    ...options,
  });
}

async function listen(server: Server | TcpServer, address: string): Promise<number> {
  servers.push(server);
  server.listen(0, address);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

interface Seen {
  readonly request: string;
  readonly host: string | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** An origin that answers with what it was sent. */
async function origin(address: string, seen: Seen[] = []): Promise<number> {
  const server = createHttpServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    const { host } = request.headers;
    seen.push({
      request: `${request.method} ${request.url}`,
      host,
      headers: request.headers,
      body,
    });
    response.writeHead(201, { "X-Origin": "yes", "Keep-Alive": "timeout=9" });
    response.end(`answer to ${request.url}`);
  });
  return listen(server, address);
}

/** Sends bytes through the proxy's socket; what comes back until it ends. */
async function send(text: string | Buffer): Promise<string> {
  const socket = connect(socketPath);
  socket.write(text);
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(socket, "close");
  return Buffer.concat(chunks).toString();
}

const get = (url: string, headers = "Host: whatever.example") =>
  send(`GET ${url} HTTP/1.1\r\n${headers}\r\nConnection: close\r\n\r\n`);
const statusOf = (answer: string) => Number(answer.split(" ")[1]);

/** A tunnel that is established, its head read. */
async function tunnel(target: string): Promise<Socket> {
  const socket = connect({ path: socketPath, allowHalfOpen: true });
  socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
  const [head] = (await once(socket, "data")) as [Buffer];
  if (statusOf(head.toString()) !== 200) throw new Error(head.toString());
  socket.pause();
  socket.unshift(head.subarray(head.indexOf("\r\n\r\n") + 4));
  return socket;
}

describe("plain HTTP", () => {
  const seen: Seen[] = [];
  let port = 0;
  beforeEach(async () => {
    seen.length = 0;
    port = await origin(REACHABLE, seen);
    await start();
  });

  test("the URL is what decides and what is asked for, not the Host that was sent", async () => {
    const answer = await get(`http://${REACHABLE}:${port}/a?b=c`, "Host: 127.0.0.1");
    expect(answer).toStartWith("HTTP/1.1 201");
    expect(answer).toContain("answer to /a?b=c");
    expect(seen).toMatchObject([{ request: "GET /a?b=c", host: `${REACHABLE}:${port}` }]);
  });

  test("headers of the connection and of the proxy stay behind", async () => {
    const headers =
      "Host: x\r\nProxy-Authorization: Basic c2VjcmV0\r\nTE: trailers\r\nX-Hop: 1\r\nX-Kept: 1\r\nConnection: X-Hop, close";
    const answer = await send(`GET http://${REACHABLE}:${port}/ HTTP/1.1\r\n${headers}\r\n\r\n`);
    expect(answer.toLowerCase()).toContain("x-origin: yes");
    const names = Object.keys(seen[0]!.headers);
    expect(names).toContain("x-kept");
    for (const name of ["proxy-authorization", "te", "x-hop"]) expect(names).not.toContain(name);
  });

  test("a body goes through, with a length and in chunks", async () => {
    const head = `POST http://${REACHABLE}:${port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`;
    await send(`${head}Content-Length: 5\r\n\r\nhello`);
    await send(`${head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`);
    expect(seen.map(({ body }) => body)).toEqual(["hello", "hello"]);
  });

  test.each([
    ["/relative", 400],
    ["https://127.0.0.2/", 400],
    ["ftp://127.0.0.2/", 400],
    ["http://nowhere.invalid/", 502],
  ])("%s: %d", async (url, status) => {
    expect(statusOf(await get(url))).toBe(status);
    expect(seen).toEqual([]);
  });

  test("two lengths, or a line that ends too early, are no request", async () => {
    const target = `http://${REACHABLE}:${port}/`;
    for (const text of [
      `POST ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET ${target}smuggled HTTP/1.1\r\nHost: a\r\n\r\n`,
      `GET ${target} HTTP/1.1\nHost: a\nConnection: close\n\n`,
      `GET ${target} HTTP/1.1\r\nHost : a\r\nConnection: close\r\n\r\n`,
    ])
      expect(statusOf(await send(text))).toBe(400);
    expect(seen).toEqual([]);
  });
});

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

describe("tunnels", () => {
  /** Sends back what it gets; ends when the other side does. */
  const echo = () =>
    createTcpServer({ allowHalfOpen: true }, (socket) => {
      socket.pipe(socket);
      socket.on("error", () => socket.destroy());
    });

  test("carry bytes both ways, those that came with the request too, and end one way at a time", async () => {
    const port = await listen(echo(), REACHABLE);
    await start();
    const socket = connect({ path: socketPath, allowHalfOpen: true });
    socket.write(`CONNECT ${REACHABLE}:${port} HTTP/1.1\r\nHost: x\r\n\r\nearly `);
    socket.write("late");
    socket.end();
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    await once(socket, "end");
    const answer = Buffer.concat(chunks).toString();
    expect(answer).toStartWith("HTTP/1.1 200");
    expect(answer).toEndWith("\r\n\r\nearly late");
  });

  test("a reader that is slow holds back the sender, not this process", async () => {
    const totalBytes = 200 * 1024 * 1024;
    const port = await listen(
      createTcpServer((socket) => {
        const block = Buffer.alloc(1024 * 1024, 1);
        let sent = 0;
        const more = () => {
          while (sent < totalBytes) {
            sent += block.length;
            if (!socket.write(block)) return void socket.once("drain", more);
          }
          socket.end();
        };
        more();
        socket.on("error", () => socket.destroy());
      }),
      REACHABLE,
    );
    await start();
    const socket = await tunnel(`${REACHABLE}:${port}`);
    socket.pause();
    const before = process.memoryUsage.rss();
    // What must not happen sends no event to wait for.
    await Bun.sleep(500);
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * 1024 * 1024);
    let received = 0;
    socket.on("data", (chunk: Buffer) => {
      received += chunk.length;
    });
    socket.resume();
    await once(socket, "end");
    expect(received).toBe(totalBytes);
    socket.destroy();
  }, 30_000);

  test("a server that is not there, and one that says nothing, are told apart", async () => {
    const server = createTcpServer();
    const port = await listen(server, REACHABLE);
    server.close();
    await once(server, "close");
    await start();
    const answer = await send(`CONNECT ${REACHABLE}:${port} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(statusOf(answer)).toBe(502);
    expect(answer).toContain("cannot be connected to");
  });

  test("more than the cap are refused, and there is room again when one ends", async () => {
    const port = await listen(echo(), REACHABLE);
    await start({}, { maxConnections: 3 });
    const target = `${REACHABLE}:${port}`;
    const open = await Promise.all([tunnel(target), tunnel(target), tunnel(target)]);
    const refused = await send(`CONNECT ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(statusOf(refused)).toBe(503);
    open[0]!.end();
    await once(open[0]!.resume(), "close");
    const again = await tunnel(target);
    for (const socket of [...open, again]) socket.destroy();
  });

  test("one without a byte for too long ends, and closing the proxy ends all", async () => {
    const port = await listen(echo(), REACHABLE);
    await start({}, { idleTimeoutMs: 200 });
    const idle = await tunnel(`${REACHABLE}:${port}`);
    await once(idle.resume(), "end");
    const busy = await tunnel(`${REACHABLE}:${port}`);
    const ended = once(busy.resume(), "end");
    await proxy!.close();
    await ended;
  });
});
