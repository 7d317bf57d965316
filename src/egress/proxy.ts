import { once } from "node:events";
import { chmod, unlink } from "node:fs/promises";
import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type Server,
  type ServerResponse,
} from "node:http";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";

import { findTarget, Refusal, type Target, type TargetRules } from "./target.ts";

/*
 * An HTTP proxy for one job, on a unix socket: CONNECT for everything over TLS, absolute URLs for plain HTTP (RFC 9110,
 * RFC 9112 section 3.2). A request is judged by its URL alone; what it says of itself elsewhere (Host) is replaced.
 */

export interface ProxyOptions {
  readonly socketPath: string;
  readonly rules: TargetRules;
  readonly maxConnections?: number;
  readonly connectTimeoutMs?: number;
  /** A tunnel without a byte in either direction ends after this, and so does a request without an answer. */
  readonly idleTimeoutMs?: number;
}

export interface Proxy {
  close(): Promise<void>;
}

const MAX_CONNECTIONS = 64;
/** So many beyond them are answered, with the reason. */
const MAX_REFUSED = 16;
const CONNECT_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_MS = 120_000;
const MAX_HEADER_BYTES = 64 * 1024;
/** Of one connection alone (RFC 9110, section 7.6.1), and what is meant for a proxy. */
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Listens; resolves once a job may connect. Throws what the system throws. */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const open = new Set<Connection>();
  const track = (connection: Connection) => {
    open.add(connection);
    connection.once("close", () => open.delete(connection));
  };
  const { maxConnections = MAX_CONNECTIONS } = options;
  const admit = () => {
    if (open.size >= maxConnections)
      throw new Refusal(503, `The job has ${maxConnections} connections open; that is the most.`);
  };
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES });
  // Those that ask for nothing cost a descriptor of this service: past some that can be told why, they are closed.
  server.maxConnections = maxConnections + MAX_REFUSED;
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    forward(request, response, { ...options, track, admit }).catch((error: unknown) =>
      answerRefusal(response, error),
    );
  });
  server.on("connect", (request: IncomingMessage, client: Duplex, head: Buffer) => {
    client.on("error", () => client.destroy());
    tunnel(request, { client, head }, { ...options, track, admit }).catch((error: unknown) => {
      const { status, message } = refusalOf(error);
      client.end(`HTTP/1.1 ${status} Refused\r\n${PLAIN_TEXT}\r\n\r\n${message}\n`);
    });
  });
  server.listen(options.socketPath);
  await once(server, "listening");
  await chmod(options.socketPath, 0o600);
  return { close: () => closeProxy(server, open, options.socketPath) };
}

const PLAIN_TEXT = "Content-Type: text/plain; charset=utf-8\r\nConnection: close";

async function closeProxy(
  server: Server,
  open: Set<Connection>,
  socketPath: string,
): Promise<void> {
  for (const connection of open) connection.destroy();
  server.closeAllConnections();
  server.close();
  await unlink(socketPath).catch(() => undefined);
}

/** What counts as one connection: a tunnel, or a request that is being answered. */
type Connection = Duplex | ServerResponse;

interface Handling extends ProxyOptions {
  readonly track: (connection: Connection) => void;
  /** Throws Refusal when there are too many connections. */
  readonly admit: () => void;
}

/** CONNECT host:port. */
async function tunnel(
  request: IncomingMessage,
  { client, head }: { readonly client: Duplex; readonly head: Buffer },
  handling: Handling,
): Promise<void> {
  const [, host = "", port = ""] = /^\[?([^\]]*?)\]?:(\d{1,5})$/.exec(request.url ?? "") ?? [];
  handling.admit();
  // From now on, not from when it is connected: until then it costs a socket as well.
  handling.track(client);
  const target = await findTarget({ host, port: Number(port) }, handling.rules);
  const upstream = await connectTo(target, handling);
  // Whenever it comes: an error that nobody listens for would end this service.
  upstream.on("error", () => client.destroy());
  client.write("HTTP/1.1 200 Connection established\r\n\r\n");
  if (head.length > 0) upstream.write(head);
  const { idleTimeoutMs = IDLE_TIMEOUT_MS } = handling;
  upstream.setTimeout(idleTimeoutMs, () => upstream.destroy());
  // Each direction ends by itself; a broken one ends both.
  await Promise.all([pipeline(client, upstream), pipeline(upstream, client)]).catch(() => {
    upstream.destroy();
    client.destroy();
  });
}

async function connectTo(target: Target, { connectTimeoutMs }: ProxyOptions): Promise<Socket> {
  const socket = connect({ host: target.address, port: target.port, allowHalfOpen: true });
  const timeout = AbortSignal.timeout(connectTimeoutMs ?? CONNECT_TIMEOUT_MS);
  try {
    await once(socket, "connect", { signal: timeout });
    return socket;
  } catch {
    socket.destroy();
    throw timeout.aborted
      ? new Refusal(504, `${target.address}:${target.port} did not answer in time.`)
      : new Refusal(502, `${target.address}:${target.port} cannot be connected to.`);
  }
}

/** GET http://host/path and the like. */
async function forward(
  request: IncomingMessage,
  response: ServerResponse,
  handling: Handling,
): Promise<void> {
  const url = URL.parse(request.url ?? "");
  if (url === null || url.protocol !== "http:")
    throw new Refusal(400, "This is a proxy: it takes absolute http:// URLs, and CONNECT.");
  const port = url.port === "" ? 80 : Number(url.port);
  handling.admit();
  handling.track(response);
  for (const stream of [request, response]) stream.on("error", () => response.destroy());
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const target = await findTarget({ host, port }, handling.rules);
  const upstream = httpRequest({
    host: target.address,
    port: target.port,
    method: request.method ?? "GET",
    path: `${url.pathname}${url.search}`,
    headers: { ...endToEnd(request.headers), host: url.host, connection: "close" },
    setHost: false,
    agent: false,
    signal: closed(response),
  });
  // Also after the answer has begun: an error that nobody listens for would end this service.
  upstream.on("error", () => {
    if (response.headersSent) response.destroy();
  });
  const timer = setTimeout(() => {
    upstream.destroy(new Refusal(504, `${url.host} did not answer in time.`));
  }, handling.idleTimeoutMs ?? IDLE_TIMEOUT_MS);
  const answered = once(upstream, "response") as Promise<[IncomingMessage]>;
  answered.catch(() => undefined);
  try {
    const sent = pipeline(request, upstream);
    sent.catch(() => undefined);
    const [answer] = await answered;
    clearTimeout(timer);
    response.writeHead(answer.statusCode ?? 502, endToEnd(answer.headers));
    await pipeline(answer, response);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(502, `${url.host} cannot be talked to.`);
  } finally {
    clearTimeout(timer);
  }
}

/** Fires when the job has given up waiting for its answer. */
function closed(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) gone.abort();
  });
  return gone.signal;
}

/** Less the headers of this connection: those that are always, and those that it names itself. */
function endToEnd(headers: IncomingMessage["headers"]): Record<string, string | string[]> {
  const named = (headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase());
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !HOP_BY_HOP.has(name) && !named.includes(name)) kept[name] = value;
  return kept;
}

function refusalOf(error: unknown): Refusal {
  return error instanceof Refusal ? error : new Refusal(502, "The proxy cannot do this.");
}

function answerRefusal(response: ServerResponse, error: unknown): void {
  const { status, message } = refusalOf(error);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.writeHead(status, {
    "content-type": "text/plain; charset=utf-8",
    connection: "close",
  });
  response.end(`${message}\n`);
}
