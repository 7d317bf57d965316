import { connect, type Socket } from "node:net";

import { fieldPart, filePart, MULTIPART, multipartBody } from "../support/multipart.ts";

/** A POST /jobs of a Python program that is sent piece by piece, over a connection that ends with the answer. */
export interface RawPost {
  readonly socket: Socket;
  readonly bodyLength: number;
  /** Sends the body from one byte up to, but not, another; with the first byte goes the head. */
  send(from: number, to?: number): void;
}

export function openPost(url: string, source: string): RawPost {
  const body = multipartBody(
    fieldPart("spec", '{"entry":"main.py"}'),
    filePart("code_files", "main.py", source),
  );
  const head = `POST /jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: ${MULTIPART}\r\nContent-Length: ${body.length}\r\n\r\n`;
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  return {
    socket,
    bodyLength: body.length,
    send: (from, to) => void socket.write((from === 0 ? head : "") + body.slice(from, to)),
  };
}
