import type { Socket } from "bun";

/*
 * One keep-alive connection of HTTP/1.1 (RFC 9112) without a client library between the clock and the bytes: what is
 * measured is the service, on cores that it shares with its client. It knows what this service answers with, bodies of a
 * given length and chunked ones, and nothing else.
 */

export interface Answer {
  readonly status: number;
  /** Empty where `onBody` took it. */
  readonly body: Buffer;
}

export interface RequestOptions {
  /** Gets the body as it arrives, without the frames of the transfer; the bytes are valid during the call. */
  readonly onBody?: (bytes: Buffer) => void;
}

/** More than any head of this service, and than the line that tells a chunk's size. */
const MAX_HEAD_BYTES = 4096;
const MAX_SIZE_BYTES = 16;

/** The answer that is being read. */
interface Reading {
  readonly onBody: (bytes: Buffer) => void;
  readonly chunks: Buffer[];
  readonly done: PromiseWithResolvers<Answer>;
  status: number;
  /** What comes next: the head, a body of known length, a chunk, the line that tells a chunk's length, or the last CRLF. */
  state: "head" | "body" | "chunk" | "chunk-size" | "trailer";
  /** The beginning of a head or line that is not whole yet. */
  text: string;
  /** Bytes that the body or chunk still has. */
  left: number;
}

export class HttpConnection {
  #socket: Socket | null = null;
  #reading: Reading | null = null;
  /** What the socket had no room for yet. */
  #unsent: Uint8Array = new Uint8Array(0);
  readonly #host: string;

  private constructor(host: string) {
    this.#host = host;
  }

  /** @param url e.g. `http://127.0.0.1:8000`. Rejects when nothing listens there. */
  static async open(url: string): Promise<HttpConnection> {
    const { hostname, port, host } = new URL(url);
    const connection = new HttpConnection(host);
    connection.#socket = await Bun.connect({
      hostname,
      port: Number(port),
      socket: {
        data: (_socket, bytes) => connection.#read(bytes),
        drain: () => connection.#write(),
        close: () => connection.#fail("The server has closed the connection"),
        error: (_socket, error) => connection.#fail(error.message),
      },
    });
    return connection;
  }

  /** As send. */
  async get(path: string, options: RequestOptions = {}): Promise<Answer> {
    const request = `GET ${path} HTTP/1.1\r\nHost: ${this.#host}\r\n\r\n`;
    return await this.send(new TextEncoder().encode(request), options);
  }

  /**
   * Sends a whole request as it goes over the wire, which a caller may have made beforehand; resolves to its answer. One at
   * a time. Rejects when the connection breaks before the answer is whole.
   */
  async send(request: Uint8Array, options: RequestOptions = {}): Promise<Answer> {
    const done = Promise.withResolvers<Answer>();
    const chunks: Buffer[] = [];
    const onBody = options.onBody ?? ((bytes: Buffer) => void chunks.push(Buffer.from(bytes)));
    this.#reading = { onBody, chunks, done, status: 0, state: "head", text: "", left: 0 };
    this.#unsent = request;
    this.#write();
    return await done.promise;
  }

  close(): void {
    this.#reading = null;
    this.#socket?.end();
    this.#socket = null;
  }

  #write(): void {
    if (this.#socket === null) return this.#fail("The connection is closed");
    const sent = this.#socket.write(this.#unsent);
    this.#unsent = this.#unsent.subarray(Math.max(sent, 0));
  }

  #fail(message: string): void {
    this.#socket = null;
    this.#reading?.done.reject(new Error(message));
    this.#reading = null;
  }

  #read(bytes: Buffer): void {
    let rest = bytes;
    while (rest.length > 0) {
      const reading = this.#reading;
      if (reading === null) return;
      rest = advance(reading, rest);
      const isOver =
        (reading.state === "body" && reading.left === 0) ||
        (reading.state === "trailer" && reading.text === "\r\n");
      if (!isOver) continue;
      this.#reading = null;
      reading.done.resolve({ status: reading.status, body: Buffer.concat(reading.chunks) });
    }
  }
}

/** Takes one step of an answer from the front of `bytes`; what is left of them. */
function advance(reading: Reading, bytes: Buffer): Buffer {
  switch (reading.state) {
    case "head":
      return untilText(reading, bytes, { end: "\r\n\r\n", most: MAX_HEAD_BYTES, take: readHead });
    case "chunk-size":
      return untilText(reading, bytes, { end: "\r\n", most: MAX_SIZE_BYTES, take: readChunkSize });
    case "trailer": {
      const part = bytes.subarray(0, 2 - reading.text.length);
      reading.text += part.toString("latin1");
      return bytes.subarray(part.length);
    }
    case "body":
    case "chunk": {
      const part = bytes.subarray(0, reading.left);
      reading.left -= part.length;
      reading.onBody(part);
      // A chunk ends with a CRLF, which reads as the empty beginning of the next one's size.
      if (reading.left === 0 && reading.state === "chunk") reading.state = "chunk-size";
      return bytes.subarray(part.length);
    }
  }
}

/** Collects text up to `end`, and hands it on once it is whole; looks at no more than `most` bytes at a time. */
function untilText(
  reading: Reading,
  bytes: Buffer,
  {
    end,
    most,
    take,
  }: {
    readonly end: string;
    readonly most: number;
    readonly take: (reading: Reading, text: string) => void;
  },
): Buffer {
  const before = reading.text.length;
  const text = reading.text + bytes.toString("latin1", 0, most);
  const index = text.indexOf(end);
  if (index === -1) {
    reading.text = text;
    return bytes.subarray(text.length - before);
  }
  reading.text = "";
  take(reading, text.slice(0, index));
  return bytes.subarray(index + end.length - before);
}

function readHead(reading: Reading, head: string): void {
  reading.status = Number(head.split(" ", 2)[1]);
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  reading.left = Number(length ?? 0);
  const isChunked = /\r\ntransfer-encoding: chunked/i.test(head);
  reading.state = isChunked ? "chunk-size" : "body";
}

function readChunkSize(reading: Reading, line: string): void {
  // The CRLF of the chunk before.
  if (line === "") return;
  reading.left = Number.parseInt(line, 16);
  reading.state = reading.left === 0 ? "trailer" : "chunk";
}
