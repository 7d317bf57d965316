import { expect, test } from "bun:test";
import fc from "fast-check";

import {
  ENTRY_MAX_FRAMES,
  type Frame,
  OBJECT_BYTES,
  type StreamName,
} from "../../src/jobs/log-entry.ts";
import { FrameQueue, takeFrames } from "../../src/logs/frames.ts";

const frame = fc.record<Frame>({
  stream: fc.constantFrom<StreamName[]>("stdout", "stderr"),
  bytes: fc
    .string({ unit: "binary", minLength: 1, maxLength: 30 })
    .map((text) => Buffer.from(text)),
});

const spelled = (frames: readonly Frame[]) =>
  frames.flatMap(({ stream, bytes }) => [...bytes].map((byte) => `${stream} ${byte}`));

test("taking again and again gives every byte once, in order, never more than asked for", () => {
  fc.assert(
    fc.property(fc.array(frame), fc.integer({ min: 4, max: 50 }), (all, maxBytes) => {
      const queue = [...all];
      const taken: Frame[] = [];
      while (queue.length > 0) {
        const some = takeFrames(queue, maxBytes);
        const total = some.reduce((sum, { bytes }) => sum + bytes.length, 0);
        expect(total).toBeGreaterThan(0);
        expect(total).toBeLessThanOrEqual(maxBytes);
        for (const [index, { stream }] of some.entries())
          expect(some[index + 1]?.stream).not.toBe(stream);
        // Characters are whole: each frame of these texts decodes without a replacement.
        for (const { bytes } of some)
          expect(() => new TextDecoder("utf-8", { fatal: true }).decode(bytes)).not.toThrow();
        taken.push(...some);
      }
      expect(spelled(taken)).toEqual(spelled(all));
    }),
  );
});

test("what is taken between pushes is every byte, in order, and keeps no more than twice its memory", () => {
  const step = fc.oneof(
    frame,
    fc.integer({ min: 4, max: 50 }).map((maxBytes) => ({ maxBytes })),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new FrameQueue();
      const [pushed, taken]: [Frame[], Frame[]] = [[], []];
      const take = (maxBytes: number) => {
        for (const some of queue.take(maxBytes)) {
          expect(some.bytes.buffer.byteLength).toBeLessThanOrEqual(2 * some.bytes.length);
          // Not copied: what is pushed later must not reach into it.
          taken.push(some);
        }
      };
      for (const each of steps) {
        if ("maxBytes" in each) take(each.maxBytes);
        else {
          queue.push(each);
          pushed.push(each);
        }
        expect(queue.byteLength).toBe(spelled(pushed).length - spelled(taken).length);
      }
      while (queue.length > 0) take(50);
      expect(spelled(taken)).toEqual(spelled(pushed));
      expect([queue.byteLength, queue.memoryBytes]).toEqual([0, 0]);
    }),
  );
});

/** What waits after writes of single bytes: two to stdout, two to stderr, and so on. */
function queueOfPairs(count: number): FrameQueue {
  const queue = new FrameQueue();
  for (let index = 0; index < count; index++)
    queue.push({ stream: index % 4 < 2 ? "stdout" : "stderr", bytes: Buffer.from("x") });
  return queue;
}

test("single bytes in pairs take what their objects weigh, not a block each", () => {
  const queue = queueOfPairs(1_000);
  expect(queue.length).toBe(500);
  expect(queue.memoryBytes).toBeLessThanOrEqual(500 * (OBJECT_BYTES + 4));
});

test("single bytes of one stream make one piece, with at most as much room behind it", () => {
  const queue = new FrameQueue();
  for (let count = 0; count < 40_000; count++)
    queue.push({ stream: "stdout", bytes: Buffer.from("x") });
  expect(queue.length).toBe(1);
  expect(queue.memoryBytes).toBeLessThanOrEqual(65_536 + OBJECT_BYTES);
  for (let count = 40_000; count < 65_537; count++)
    queue.push({ stream: "stdout", bytes: Buffer.from("x") });
  expect([queue.length, queue.memoryBytes]).toEqual([2, 65_537 + 2 * OBJECT_BYTES]);
});

test("no entry is of more pieces than there may be, however small they are", () => {
  const queue = queueOfPairs(4 * ENTRY_MAX_FRAMES);
  expect(queue.take(64 * 1024)).toHaveLength(ENTRY_MAX_FRAMES);
  expect(queue.length).toBe(ENTRY_MAX_FRAMES);
});
