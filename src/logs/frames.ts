import { type Frame, framesByteLength } from "../jobs/log-entry.ts";
import { incompleteTailLength } from "./utf8.ts";

/** What a full log entry takes. */
const BLOCK_BYTES = 64 * 1024;

/** Output that waits, in order. */
export class FrameQueue {
  #frames: Frame[] = [];
  #byteLength = 0;
  /** In the memory behind the last frame's bytes. */
  #roomBytes = 0;

  get byteLength(): number {
    return this.#byteLength;
  }

  /** How many frames there are; neighbours of one stream count each. */
  get length(): number {
    return this.#frames.length;
  }

  /** Copies the bytes: a view would keep the whole of the reader's buffer alive. */
  push({ stream, bytes }: Frame): void {
    const last = this.#frames.at(-1);
    const isNeighbour = last?.stream === stream;
    this.#byteLength += bytes.length;
    if (last !== undefined && isNeighbour && bytes.length <= this.#roomBytes) {
      this.#frames[this.#frames.length - 1] = { stream, bytes: extended(last.bytes, bytes) };
      this.#roomBytes -= bytes.length;
      return;
    }
    // Reads of a few KiB that come faster than they are taken are put together here, and not once more when they are.
    const isPart = isNeighbour && bytes.length < BLOCK_BYTES / 4;
    const block = new Uint8Array(isPart ? BLOCK_BYTES : bytes.length);
    block.set(bytes);
    this.#frames.push({ stream, bytes: block.subarray(0, bytes.length) });
    this.#roomBytes = block.length - bytes.length;
  }

  /** As takeFrames. What is taken does not keep much more memory alive than its own. */
  take(maxBytes: number): readonly Frame[] {
    const taken = takeFrames(this.#frames, maxBytes);
    this.#byteLength -= framesByteLength(taken);
    if (this.#frames.length === 0) this.#roomBytes = 0;
    return taken.map(({ stream, bytes }) => ({
      stream,
      bytes: bytes.length < bytes.buffer.byteLength / 2 ? bytes.slice() : bytes,
    }));
  }

  clear(): void {
    this.#frames = [];
    this.#byteLength = 0;
    this.#roomBytes = 0;
  }
}

/** `bytes` and, in the memory right behind them, `more`. */
function extended(bytes: Uint8Array, more: Uint8Array): Uint8Array {
  const both = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length + more.length);
  both.set(more, bytes.length);
  return both;
}

/** Takes frames from the front of `queue`, neighbours of one stream joined, up to `maxBytes` and never none. */
export function takeFrames(queue: Frame[], maxBytes: number): Frame[] {
  const taken: Frame[] = [];
  let room = maxBytes;
  let count = 0;
  for (const frame of queue) {
    // One that does not fit is left whole for the next time, unless it is too long for that as well.
    if (taken.length > 0 && frame.bytes.length > room) break;
    const bytes = frame.bytes.subarray(0, splitPoint(frame.bytes, room));
    if (bytes.length === 0) break;
    taken.push({ stream: frame.stream, bytes });
    room -= bytes.length;
    if (bytes.length < frame.bytes.length) {
      queue[count] = { stream: frame.stream, bytes: frame.bytes.subarray(bytes.length) };
      break;
    }
    count++;
  }
  queue.splice(0, count);
  return joinNeighbours(taken);
}

/** How many bytes of a frame to take into `room`: not the beginning of a character without its rest. */
function splitPoint(bytes: Uint8Array, room: number): number {
  if (bytes.length <= room) return bytes.length;
  return room - incompleteTailLength(bytes.subarray(0, room));
}

function joinNeighbours(frames: readonly Frame[]): Frame[] {
  const joined: Frame[] = [];
  let run: Uint8Array[] = [];
  for (const [index, frame] of frames.entries()) {
    run.push(frame.bytes);
    if (frames[index + 1]?.stream === frame.stream) continue;
    joined.push({ stream: frame.stream, bytes: run.length > 1 ? Buffer.concat(run) : frame.bytes });
    run = [];
  }
  return joined;
}
