import { beforeDeadline, LATE } from "./deadline.ts";
import type { GuestExit, GuestOutput } from "./sandbox.ts";

/*
 * Reads what the supervisor says (supervisor.pl, where the framing is described). The supervisor lives beside the job,
 * so that everything here is taken as hostile: order, sizes and totals are checked, nothing is allocated on a promise,
 * and no more is held than one record.
 */

/** Above the supervisor's own chunk of 128 KiB and any path. */
const MAX_RECORD_BYTES = 1024 * 1024;
const MAX_PATH_BYTES = 1024;
/** `pathBytes`: of all paths together. They stay in the job's record, and each listing of jobs carries them. */
const CAPS = { files: 1_000, pathBytes: 256 * 1024 };
/** The same of a folder that was named: what is below it goes to another guest. */
const CAPS_BELOW_FOLDER = { files: 20_000, pathBytes: 2 * 1024 * 1024 };
/** Wait status, from the kernel: an exit code is a byte, a signal 1..64. */
const MAX_EXIT_CODE = 255;
const MAX_SIGNAL = 64;

/** The payload of a record that says that nothing is left to do ahead; anything else: the interpreter is gone. */
const WAITS = 1;

/** Bits of the last field of an exit record. */
const DISK_FULL = 1;
const ENDED_FOR_DISK = 2;
const FILES_COME_ALONG = 4;

/** What the supervisor says of the program's end. */
export interface SupervisorExit extends Pick<GuestExit, "exitCode" | "signalNumber" | "cpuMs"> {
  /** One of the guest's writable places was full. */
  readonly isDiskFull: boolean;
  /** It ended the program, which had made too many files. */
  readonly isEndedForDisk: boolean;
  /** The files are yet to be looked through, for which the guest may have no memory left. */
  readonly needsRoom: boolean;
}

interface GuestRecord {
  readonly type: string;
  readonly payload: Uint8Array;
}

/** What the guest said makes no sense, or broke off. */
export class MalformedOutput extends Error {
  override readonly name = "MalformedOutput";
}

export interface WantedFiles {
  /** Cap on the sum of their sizes. */
  readonly maxTotalBytes: number;
  /** The guest was asked for those below one folder. */
  readonly isBelowFolder: boolean;
}

export interface GuestOutputReader {
  /**
   * Resolves when the program runs; false when the stream ended before. `onReady` is called meanwhile, when the supervisor
   * has nothing left to do ahead, with whether what was to wait does.
   */
  readStarted(onReady: (isUseful: boolean) => void): Promise<boolean>;
  /** How the program ended; null when the stream ended before. */
  readExit(): Promise<SupervisorExit | null>;
  /** The files, after readExit. Each one's bytes must be drained before the next is asked for. */
  readFiles(wanted: WantedFiles): AsyncGenerator<GuestOutput>;
  /** Files that were not handed out: too many, too big, unreadable or badly named. Complete once readFiles is done. */
  leftOut(): number;
}

export interface GuestOutputOptions {
  /** The longest wait for the guest's next byte once files are read. */
  readonly stallMs: number;
}

/** Throws (from each read) MalformedOutput for anything that is out of order, too big or cut off. */
export function createGuestOutputReader(
  stream: ReadableStream<Uint8Array>,
  options: GuestOutputOptions,
): GuestOutputReader {
  const next = recordReader(stream);
  let leftOut = 0;

  async function* readFiles(wanted: WantedFiles): AsyncGenerator<GuestOutput> {
    const caps = wanted.isBelowFolder ? CAPS_BELOW_FOLDER : CAPS;
    let totalBytes = 0;
    let pathBytes = 0;
    for (let files = 0; ; files += 1) {
      const record = await required(next(options.stallMs));
      if (record.type === "T") {
        leftOut += uint32(record.payload, 0);
        return;
      }
      const { path, sizeBytes } = fileHeader(record);
      totalBytes += sizeBytes;
      pathBytes += record.payload.length;
      const tooMuch = totalBytes > wanted.maxTotalBytes || pathBytes > caps.pathBytes;
      if (files >= caps.files || tooMuch)
        throw new MalformedOutput("More files than the caps allow");
      const bytes = fileBytes(sizeBytes);
      if (path === null) leftOut += 1;
      else yield { path, sizeBytes, bytes };
      // What the consumer did not want still lies between here and the next record.
      for await (const unwanted of bytes) void unwanted;
    }
  }

  function fileBytes(sizeBytes: number): AsyncIterableIterator<Uint8Array> {
    let left = sizeBytes;
    const iterator: AsyncIterableIterator<Uint8Array> = {
      [Symbol.asyncIterator]: () => iterator,
      async next() {
        if (left === 0) return { done: true, value: undefined };
        const { type, payload } = await required(next(options.stallMs));
        if (type !== "D" || payload.length === 0 || payload.length > left)
          throw new MalformedOutput("A file's bytes are not as announced");
        left -= payload.length;
        return { done: false, value: payload };
      },
    };
    return iterator;
  }

  return {
    readStarted: (onReady) => readStarted(next, onReady),
    async readExit() {
      const record = await next();
      return record === null ? null : parseExit(record);
    },
    readFiles,
    leftOut: () => leftOut,
  };
}

async function readStarted(
  next: () => Promise<GuestRecord | null>,
  onReady: (isUseful: boolean) => void,
): Promise<boolean> {
  let record = await next();
  if (record?.type === "R") {
    expectType(record, "R", 1);
    onReady(record.payload[0] === WAITS);
    record = await next();
  }
  if (record === null) return false;
  expectType(record, "S", 0);
  return true;
}

async function required(record: Promise<GuestRecord | null>): Promise<GuestRecord> {
  const found = await record;
  if (found === null) throw new MalformedOutput("The files were cut off");
  return found;
}

function expectType(record: GuestRecord, type: string, length: number): void {
  if (record.type !== type || record.payload.length !== length)
    throw new MalformedOutput(`Expected a record ${type}`);
}

function uint32(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at);
}

function uint64(bytes: Uint8Array, at: number): number {
  const value = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at));
  if (!Number.isSafeInteger(value)) throw new MalformedOutput("A number is out of range");
  return value;
}

function parseExit(record: GuestRecord): SupervisorExit {
  expectType(record, "E", 20);
  const exitCode = uint32(record.payload, 0);
  const signalNumber = uint32(record.payload, 4);
  if (exitCode > MAX_EXIT_CODE || signalNumber > MAX_SIGNAL)
    throw new MalformedOutput("No program ends like that");
  const cpuMs = uint64(record.payload, 8);
  const bits = uint32(record.payload, 16);
  return {
    exitCode: signalNumber > 0 ? null : exitCode,
    signalNumber: signalNumber > 0 ? signalNumber : null,
    cpuMs,
    isDiskFull: (bits & DISK_FULL) !== 0,
    isEndedForDisk: (bits & ENDED_FOR_DISK) !== 0,
    needsRoom: (bits & FILES_COME_ALONG) === 0,
  };
}

/** `path` is null for a name that is no UTF-8, or no relative path without `.`, `..` and NUL. */
function fileHeader(record: GuestRecord): {
  readonly path: string | null;
  readonly sizeBytes: number;
} {
  const { type, payload } = record;
  if (type !== "F" || payload.length < 9 || payload.length > 8 + MAX_PATH_BYTES)
    throw new MalformedOutput("Expected a file");
  return { path: decodePath(payload.subarray(8)), sizeBytes: uint64(payload, 0) };
}

function decodePath(bytes: Uint8Array): string | null {
  let path: string;
  try {
    path = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
  const badPart = (part: string) => part === "" || part === "." || part === "..";
  return path.includes("\0") || path.split("/").some(badPart) ? null : path;
}

/**
 * Cuts a stream into records. The function resolves to null at a clean end; `stallMs` is the longest wait for one chunk.
 */
function recordReader(stream: ReadableStream<Uint8Array>) {
  const reader = stream.getReader();
  let chunk: Uint8Array = new Uint8Array(0);

  async function fill(stallMs: number | undefined): Promise<boolean> {
    while (chunk.length === 0) {
      const { done, value } = await within(reader.read(), stallMs);
      if (done) return false;
      chunk = value;
    }
    return true;
  }

  async function take(target: Uint8Array, stallMs: number | undefined): Promise<number> {
    let got = 0;
    while (got < target.length && (await fill(stallMs))) {
      const part = chunk.subarray(0, target.length - got);
      target.set(part, got);
      got += part.length;
      chunk = chunk.subarray(part.length);
    }
    return got;
  }

  return async (stallMs?: number): Promise<GuestRecord | null> => {
    const head = new Uint8Array(5);
    const got = await take(head, stallMs);
    if (got === 0) return null;
    const length = got === head.length ? uint32(head, 1) : 0;
    if (length > MAX_RECORD_BYTES) throw new MalformedOutput("A huge record");
    const payload = new Uint8Array(length);
    if (got < head.length || (await take(payload, stallMs)) < length)
      throw new MalformedOutput("A record was cut off");
    return { type: String.fromCharCode(head[0] ?? 0), payload };
  };
}

async function within<T>(work: Promise<T>, stallMs: number | undefined): Promise<T> {
  if (stallMs === undefined) return work;
  const result = await beforeDeadline(work, stallMs);
  if (result === LATE) throw new MalformedOutput(`Nothing came for ${stallMs} ms`);
  return result;
}
