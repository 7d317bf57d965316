import { afterEach, expect } from "bun:test";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttpServer, type IncomingMessage, type Server } from "node:http";
import { type AddressInfo, connect, type Server as TcpServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type Proxy, type ProxyOptions, startProxy } from "../../src/egress/proxy.ts";
import type { TargetRules } from "../../src/egress/target.ts";

/** Real servers on addresses of the loopback range: this one is made reachable, 127.0.0.1 is what must not be. */
export const REACHABLE = "127.0.0.2";
const extraAddresses = [{ address: REACHABLE, prefixBits: 32 }];
/** What an origin was asked. */
export interface Seen {
  readonly request: string;
  readonly host: string | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export const statusOf = (answer: string) => Number(answer.split(" ")[1]);

/** A proxy and origins, which end with each test of the file that calls this. */
export function useProxy() {
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

  /** An origin that answers with what it was sent. */
  async function origin(address: string, seen: Seen[] = []): Promise<number> {
    const server = createHttpServer((request, response) => {
      let body = "";
      request.on("data", (chunk: Buffer) => {
        body += chunk.toString();
      });
      request.on("end", () => {
        const { host } = request.headers;
        const asked = `${request.method} ${request.url}`;
        seen.push({ request: asked, host, headers: request.headers, body });
        response.writeHead(201, { "X-Origin": "yes", "Keep-Alive": "timeout=9" });
        response.end(`answer to ${request.url}`);
      });
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

  return {
    socketPath,
    start,
    listen,
    origin,
    send,
    get,
    tunnel,
    closeProxy: async () => proxy?.close(),
  };
}
