import { beforeEach, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { connect, createServer as createTcpServer } from "node:net";

import { REACHABLE, type Seen, statusOf, useProxy } from "../support/proxy.ts";

const { socketPath, start, listen, origin, send, get, tunnel, closeProxy } = useProxy();

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

  test("a side that breaks off, before or within an answer, is that job's trouble alone", async () => {
    const port = await listen(
      createTcpServer((socket) => {
        socket.on("error", () => undefined);
        socket.once("data", (chunk: Buffer) => {
          if (chunk.includes("/half"))
            socket.write("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf");
          setImmediate(() => socket.resetAndDestroy());
        });
      }),
      REACHABLE,
    );
    await start();
    expect(statusOf(await get(`http://${REACHABLE}:${port}/none`))).toBe(502);
    expect(await get(`http://${REACHABLE}:${port}/half`)).toEndWith("half");
    const broken = await tunnel(`${REACHABLE}:${port}`);
    broken.write("x");
    await once(broken.resume(), "end");
    const impatient = connect(socketPath);
    impatient.write(`GET http://${REACHABLE}:${port}/half HTTP/1.1\r\nHost: x\r\n\r\n`);
    await once(impatient, "data");
    impatient.destroy();
    const alive = await listen(echo(), REACHABLE);
    const socket = await tunnel(`${REACHABLE}:${alive}`);
    socket.end("still here");
    const [answer] = (await once(socket.resume(), "data")) as [Buffer];
    expect(answer.toString()).toBe("still here");
  });

  test("more than the cap are refused, and there is room again when one ends", async () => {
    const port = await listen(echo(), REACHABLE);
    await start({}, { maxConnections: 3 });
    const target = `${REACHABLE}:${port}`;
    const open = await Promise.all([tunnel(target), tunnel(target), tunnel(target)]);
    const refused = await send(`CONNECT ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(statusOf(refused)).toBe(503);
    open[0].end();
    await once(open[0].resume(), "close");
    const again = await tunnel(target);
    for (const socket of [...open, again]) socket.destroy();
  });

  test("connections that ask for nothing are closed past the cap", async () => {
    await start({}, { maxConnections: 4 });
    const silent = Array.from({ length: 60 }, () => connect(socketPath));
    const closed = silent.map((socket) => once(socket.resume(), "close"));
    // 4, and 16 more that could still be told why not.
    const kept = 20;
    const ended = new Set<number>();
    closed.forEach((each, index) => void each.then(() => ended.add(index)));
    while (ended.size < silent.length - kept)
      await Promise.race(closed.filter((_, index) => !ended.has(index)));
    expect(ended.size).toBe(silent.length - kept);
    for (const socket of silent) socket.destroy();
  });

  test("one without a byte for too long ends, and closing the proxy ends all", async () => {
    const port = await listen(echo(), REACHABLE);
    await start({}, { idleTimeoutMs: 200 });
    const idle = await tunnel(`${REACHABLE}:${port}`);
    await once(idle.resume(), "end");
    const busy = await tunnel(`${REACHABLE}:${port}`);
    const ended = once(busy.resume(), "end");
    await closeProxy();
    await ended;
  });
});
