import type { Frame } from "../jobs/log-entry.ts";
import { incompleteTailLength } from "./utf8.ts";

/** Takes frames from the front of `queue`, neighbours of one stream joined, up to `maxBytes` and never none. */
export function takeFrames(queue: Frame[], maxBytes: number): Frame[] {
  const taken: Frame[] = [];
  let room = maxBytes;
  let count = 0;
  for (const frame of queue) {
    if (room === 0) break;
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
