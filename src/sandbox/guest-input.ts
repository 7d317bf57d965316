import { AppError } from "../errors.ts";
import type { GuestInput, GuestRequest, WaitingInterpreter } from "./sandbox.ts";

/*
 * What the supervisor (supervisor.pl, where the framing is described) is told before it starts a program. The framing
 * carries any byte, but argv and environment end at a NUL in the kernel, and a NUL in a path is an attack: refused here.
 */

/** Bytes of one data record; far below the supervisor's cap of 1 MiB. */
const CHUNK_BYTES = 256 * 1024;
/** Processes of a guest that are not the program's. */
const SUPERVISORS = 1;
const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

const NOTHING = new Uint8Array(0);
const encoder = new TextEncoder();

/** One record: type, 32-bit big-endian length, payload. */
function record(type: string, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(5 + payload.length);
  bytes[0] = type.charCodeAt(0);
  new DataView(bytes.buffer).setUint32(1, payload.length);
  bytes.set(payload, 5);
  return bytes;
}

function text(type: string, value: string): Uint8Array {
  if (value.includes("\0"))
    throw new AppError("sandbox_error", "A value for the guest holds a NUL");
  return record(type, encoder.encode(value));
}

function* data(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES)
    yield record("D", bytes.subarray(at, at + CHUNK_BYTES));
}

async function* inputFile(input: GuestInput): AsyncGenerator<Uint8Array> {
  yield text(input.isExecutable === true ? "X" : "F", input.path);
  let sent = 0;
  for await (const chunk of input.bytes()) {
    sent += chunk.length;
    yield* data(chunk);
  }
  if (sent !== input.sizeBytes)
    throw new AppError(
      "sandbox_error",
      `The input file ${JSON.stringify(input.path)} has ${sent} bytes, not ${input.sizeBytes}`,
    );
}

/** One file for so many bytes of disk, as ext4 is made for small files; a tmpfs by itself takes millions. */
const BYTES_PER_FILE = 4096;
const MIN_FILES = 4096;

function options(request: GuestRequest, isHeldAsWhole: boolean): Record<string, number> {
  const { limits } = request;
  return {
    ...(isHeldAsWhole ? {} : processLimits(request)),
    // rlimits know whole seconds only.
    cpu: Math.max(1, Math.ceil(limits.cpuSec)),
    fsize: limits.diskBytes,
    output: limits.diskBytes,
    ...(request.proxySocket === undefined ? {} : { proxy: 1 }),
    inodes: Math.max(MIN_FILES, Math.floor(limits.diskBytes / BYTES_PER_FILE)),
  };
}

/** What stands between a guest with a network and its proxy is a process of the guest. */
export function forwardersOf({ proxySocket }: GuestRequest): number {
  return proxySocket === undefined ? 0 : 1;
}

/** rlimits in place of a cgroup's limits. With one, they would only refuse first what it can tell the cause of. */
function processLimits(request: GuestRequest) {
  const { limits, memoryLimit, memoryReserveBytes = 0 } = request;
  const memoryBytes = limits.memoryBytes + memoryReserveBytes;
  return {
    ...(memoryLimit === "address_space" ? { as: memoryBytes } : {}),
    ...(memoryLimit === "data" ? { data: memoryBytes } : {}),
    nproc: limits.processes + SUPERVISORS + forwardersOf(request),
  };
}

/** Joins small pieces, so that a job of many is handed over in few writes. */
export async function* inBatches(
  pieces: AsyncIterable<Uint8Array>,
  batchBytes = CHUNK_BYTES,
): AsyncGenerator<Uint8Array> {
  let batch: Uint8Array[] = [];
  let size = 0;
  for await (const piece of pieces) {
    batch.push(piece);
    size += piece.length;
    if (size < batchBytes) continue;
    yield Buffer.concat(batch);
    batch = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(batch);
}

/**
 * The records that have a supervisor wait for its job, with an interpreter where one is given. Throws AppError
 * `sandbox_error` for a value that cannot be passed on as it is.
 */
export function encodeWait(
  interpreter: WaitingInterpreter | undefined,
  baseEnv: Readonly<Record<string, string>>,
): Uint8Array {
  const { argv = [], env = {} } = interpreter ?? {};
  return Buffer.concat([
    ...argv.map((argument) => text("a", argument)),
    ...variables("v", { ...baseEnv, ...env }),
    record("W", NOTHING),
  ]);
}

function* variables(type: string, env: Readonly<Record<string, string>>): Generator<Uint8Array> {
  for (const [name, value] of Object.entries(env)) {
    if (!ENV_NAME.test(name))
      throw new AppError("sandbox_error", "A variable has an unusable name");
    yield text(type, `${name}=${value}`);
  }
}

/**
 * The records of a whole job, up to "go". Throws AppError `sandbox_error` for a value that cannot be passed on as it
 * is, and whatever reading an input throws; a stream that breaks off runs nothing.
 */
export async function* encodeJob(
  request: GuestRequest,
  env: Readonly<Record<string, string>>,
  isHeldAsWhole: boolean,
): AsyncGenerator<Uint8Array> {
  for (const [name, number] of Object.entries(options(request, isHeldAsWhole))) {
    if (!Number.isSafeInteger(number) || number < 1)
      throw new AppError("sandbox_error", `The limit ${name} is ${number}`);
    yield text("O", `${name}=${number}`);
  }
  for (const argument of request.argv) yield text("A", argument);
  yield* variables("V", env);
  if (request.outputsBelow !== undefined) yield text("C", request.outputsBelow);
  if (request.noOutputsBelow !== undefined) yield text("K", request.noOutputsBelow);
  for (const input of request.inputs) yield* inputFile(input);
  if (request.stdin.length > 0) {
    yield record("I", NOTHING);
    yield* data(request.stdin);
  }
}

/** The record that has the program of a job run that was sent; `isWarm`: on the interpreter that waits. */
export function encodeGo(isWarm: boolean): Uint8Array {
  return record(isWarm ? "H" : "G", NOTHING);
}
