import { expect, test } from "bun:test";
import fc from "fast-check";

import type { Frame, StreamName } from "../../src/jobs/log-entry.ts";
import { takeFrames } from "../../src/logs/frames.ts";

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
