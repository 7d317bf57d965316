import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";

import { checkRelativePath } from "../jobs/paths.ts";
import { countStreamedBytes } from "../platform/memory.ts";
import type { KeptFile, NewFile } from "./build-cache.ts";
import { translateDiskErrors, writeAll } from "./disk.ts";

/*
 * Several files in one: their bytes one after the other, then an index in JSON, then the index' length (32 bits, big-endian)
 * and eight letters. So it is there as a whole or not at all, by one rename; and once opened it can be read to its end,
 * whoever removes it meanwhile.
 */

const MAGIC = Buffer.from("jrpack01");
const FOOTER_BYTES = 4 + MAGIC.length;
/** An index of as many paths as a guest may hand out takes a third of it. */
const MAX_INDEX_BYTES = 16 * 1024 * 1024;
const READ_BYTES = 256 * 1024;
const MAX_SMALL_BYTES = 32 * 1024;

interface IndexEntry {
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/**
 * Writes a whole pack into an empty file, through to the disk; `checkSpaceFor` is told of each chunk before that. Throws
 * `storage_full`, what `checkSpaceFor` throws, and what reading the files throws.
 */
export async function writePack(
  file: FileHandle,
  files: AsyncIterable<NewFile>,
  checkSpaceFor: (chunkBytes: number) => Promise<void>,
): Promise<readonly KeptFile[]> {
  const index: IndexEntry[] = [];
  for await (const { path, bytes } of files) {
    const hash = createHash("sha256");
    let sizeBytes = 0;
    for await (const chunk of bytes) {
      hash.update(chunk);
      sizeBytes += chunk.length;
      countStreamedBytes(chunk.length);
      await checkSpaceFor(chunk.length);
      await translateDiskErrors(() => writeAll(file, chunk));
    }
    index.push({ path, sizeBytes, sha256: hash.digest("hex") });
  }
  const encoded = Buffer.from(JSON.stringify(index));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(encoded.length);
  await translateDiskErrors(async () => {
    await writeAll(file, Buffer.concat([encoded, length, MAGIC]));
    await file.datasync();
  });
  return keptFiles(file, index);
}

/** The files of a pack; null when it is not a whole one, to the last bit. Throws what the file system throws. */
export async function readPack(file: FileHandle): Promise<readonly KeptFile[] | null> {
  const index = await readIndex(file);
  if (index === null) return null;
  const files = keptFiles(file, index);
  for (const each of files) {
    const hash = createHash("sha256");
    for await (const chunk of each.bytes()) hash.update(chunk);
    if (hash.digest("hex") !== each.sha256) return null;
  }
  return files;
}

async function readIndex(file: FileHandle): Promise<readonly IndexEntry[] | null> {
  const { size } = await file.stat();
  const footer = await readPart(file, size - FOOTER_BYTES, FOOTER_BYTES);
  if (footer === null || !footer.subarray(4).equals(MAGIC)) return null;
  const indexBytes = footer.readUInt32BE();
  const contentBytes = size - FOOTER_BYTES - indexBytes;
  const encoded =
    indexBytes > MAX_INDEX_BYTES ? null : await readPart(file, contentBytes, indexBytes);
  if (encoded === null) return null;
  const index = parseIndex(encoded.toString());
  const sum = index?.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
  return sum === contentBytes ? (index ?? null) : null;
}

function parseIndex(text: string): readonly IndexEntry[] | null {
  try {
    const parsed: unknown = JSON.parse(text);
    return Array.isArray(parsed) && parsed.every(isIndexEntry) ? parsed : null;
  } catch {
    return null;
  }
}

function isIndexEntry(value: unknown): value is IndexEntry {
  if (typeof value !== "object" || value === null) return false;
  const { path, sizeBytes, sha256 } = value as Readonly<Record<string, unknown>>;
  const isSize = Number.isSafeInteger(sizeBytes) && Number(sizeBytes) >= 0;
  // It becomes a path in a guest: what our own hand would not have written is no index.
  const isPath = typeof path === "string" && checkRelativePath(path).ok;
  return isPath && isSize && typeof sha256 === "string";
}

/** null where the file is shorter. */
async function readPart(file: FileHandle, at: number, length: number): Promise<Buffer | null> {
  if (at < 0) return null;
  const part = Buffer.alloc(length);
  const { bytesRead } = await file.read(part, 0, length, at);
  return bytesRead === length ? part : null;
}

function keptFiles(file: FileHandle, index: readonly IndexEntry[]): readonly KeptFile[] {
  const window = new Window(file);
  let nextStart = 0;
  return index.map((entry) => {
    const start = nextStart;
    const end = start + entry.sizeBytes;
    nextStart = end;
    const isSmall = entry.sizeBytes <= MAX_SMALL_BYTES;
    return {
      ...entry,
      bytes: () => (isSmall ? readSmall(window, start, end) : readRange(file, start, end)),
    };
  });
}

/** Mostly they are read one after the other, and many are a few KiB: one read is for dozens of them. */
class Window {
  readonly #file: FileHandle;
  #start = 0;
  #bytes: Uint8Array = new Uint8Array(0);

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Less where the file ends before. What has been given stays as it is. */
  async read(start: number, end: number): Promise<Uint8Array> {
    const isInside = this.#start <= start && end <= this.#start + this.#bytes.length;
    if (isInside) return this.#bytes.subarray(start - this.#start, end - this.#start);
    const buffer = new Uint8Array(READ_BYTES);
    const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, start);
    countStreamedBytes(buffer.length);
    this.#start = start;
    this.#bytes = buffer.subarray(0, bytesRead);
    return this.#bytes.subarray(0, end - start);
  }
}

async function* readSmall(window: Window, start: number, end: number) {
  if (end > start) yield await window.read(start, end);
}

/** Ends early where the file does. Each chunk is good until the next is asked for: one buffer serves them all. */
async function* readRange(file: FileHandle, start: number, end: number) {
  const buffer = new Uint8Array(Math.min(READ_BYTES, end - start));
  for (let at = start; at < end;) {
    const wanted = Math.min(buffer.length, end - at);
    const { bytesRead } = await file.read(buffer, 0, wanted, at);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    countStreamedBytes(bytesRead);
    at += bytesRead;
  }
}
