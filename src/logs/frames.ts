import {
  ENTRY_MAX_BYTES,
  ENTRY_MAX_FRAMES,
  type Frame,
  framesByteLength,
  OBJECT_BYTES,
} from "../jobs/log-entry.ts";
import { incompleteTailLength } from "./utf8.ts";

/** Neighbours are put together up to this: an entry takes no more. */
const BLOCK_MAX_BYTES = ENTRY_MAX_BYTES;

/** Output that waits, in order. */
export class FrameQueue {
  #frames: Frame[] = [];
  #byteLength = 0;
  #memoryBytes = 0;
  /** In the memory behind the last frame's bytes. */
  #roomBytes = 0;

  get byteLength(): number {
    return this.#byteLength;
  }

  /** What all of it takes, with the room behind the bytes and the objects around them. */
  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  /** How many frames there are. */
  get length(): number {
    return this.#frames.length;
  }

  /** Copies the bytes: a view would keep the whole of the reader's buffer alive. */
  push({ stream, bytes }: Frame): void {
    this.#byteLength += bytes.length;
    const last = this.#frames.at(-1);
    if (last?.stream === stream && last.bytes.length + bytes.length <= BLOCK_MAX_BYTES) {
      // Small reads that come faster than they are taken are put together here, and not once more when they are.
      this.#frames[this.#frames.length - 1] = { stream, bytes: this.#extend(last.bytes, bytes) };
      return;
    }
    this.#frames.push({ stream, bytes: new Uint8Array(bytes) });
    this.#memoryBytes += bytes.length + OBJECT_BYTES;
    this.#roomBytes = 0;
  }

  /** The last frame's bytes with `more` behind them, moved into a block of twice the size where there is no room for it. */
  #extend(bytes: Uint8Array, more: Uint8Array): Uint8Array {
    const length = bytes.length + more.length;
    if (more.length <= this.#roomBytes) {
      this.#roomBytes -= more.length;
      const both = new Uint8Array(bytes.buffer, bytes.byteOffset, length);
      both.set(more, bytes.length);
      return both;
    }
    const block = new Uint8Array(Math.min(2 * length, BLOCK_MAX_BYTES));
    block.set(bytes);
    block.set(more, bytes.length);
    this.#memoryBytes += block.length - bytes.buffer.byteLength;
    this.#roomBytes = block.length - length;
    return block.subarray(0, length);
  }

  /** As takeFrames. What is taken does not keep much more memory alive than its own. */
  take(maxBytes: number): readonly Frame[] {
    const taken = takeFrames(this.#frames, maxBytes);
    this.#byteLength -= framesByteLength(taken);
    this.#memoryBytes = 0;
    for (const { bytes } of this.#frames)
      this.#memoryBytes += bytes.buffer.byteLength + OBJECT_BYTES;
    if (this.#frames.length === 0) this.#roomBytes = 0;
    return taken.map(({ stream, bytes }) => ({
      stream,
      bytes: bytes.length < bytes.buffer.byteLength / 2 ? new Uint8Array(bytes) : bytes,
    }));
  }

  clear(): void {
    this.#frames = [];
    this.#byteLength = 0;
    this.#memoryBytes = 0;
    this.#roomBytes = 0;
  }
}

/**
 * Takes frames from the front of `queue`, neighbours of one stream joined, up to `maxBytes` and ENTRY_MAX_FRAMES, and never
 * none.
 */
export function takeFrames(queue: Frame[], maxBytes: number): Frame[] {
  const taken: Frame[] = [];
  let room = maxBytes;
  let count = 0;
  for (const frame of queue) {
    // One that does not fit is left whole for the next time, unless it is too long for that as well.
    if (taken.length > 0 && frame.bytes.length > room) break;
    if (taken.length === ENTRY_MAX_FRAMES) break;
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
