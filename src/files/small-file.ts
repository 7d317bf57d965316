import { createHash } from "node:crypto";

/*
 * Files that are small enough to be kept in their job's record: they are on the disk with it, in the store's one commit, and
 * cost no folder, no file and no fsync of their own.
 */

/** A stream's first bytes. */
export interface Beginning {
  /** The whole stream, if it ended within the limit; else null. */
  readonly whole: Uint8Array | null;
  /** The whole stream, what has been read of it included; to be read once. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** Reads a stream until it ends or has given more than `maxBytes`. Rejects with what the stream throws. */
export async function readBeginning(
  stream: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<Beginning> {
  const iterator = stream[Symbol.asyncIterator]();
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  while (sizeBytes <= maxBytes) {
    const next = await iterator.next();
    if (next.done === true) return { whole: Buffer.concat(chunks), bytes: each(chunks) };
    // A chunk is its giver's again when the next is asked for.
    chunks.push(next.value.slice());
    sizeBytes += next.value.length;
  }
  return { whole: null, bytes: resumed(chunks, iterator) };
}

async function* each(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

async function* resumed(
  chunks: readonly Uint8Array[],
  iterator: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
    for (;;) {
      const next = await iterator.next();
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await iterator.return?.();
  }
}

/** The record of a small file's bytes. */
export function encodeSmallFile(bytes: Uint8Array) {
  return {
    blob: null,
    content: Buffer.from(bytes).toString("base64"),
    sizeBytes: bytes.length,
    sha256: createHash("sha256").update(bytes).digest("hex"),
  };
}

export async function* decodeSmallFile(content: string): AsyncGenerator<Uint8Array> {
  if (content !== "") yield await Promise.resolve(Buffer.from(content, "base64"));
}
