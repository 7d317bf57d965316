import { expect, test } from "bun:test";

import { countStreamedBytes } from "../../src/platform/memory.ts";

const MIB = 1024 * 1024;

/** Buffers that nobody holds, each having lived through a turn of the loop. */
async function abandonedBuffers(count: number): Promise<readonly WeakRef<Uint8Array>[]> {
  const refs: WeakRef<Uint8Array>[] = [];
  for (let n = 0; n < count; n++) {
    refs.push(new WeakRef(new Uint8Array(64 * 1024)));
    await new Promise(setImmediate);
  }
  return refs;
}

const held = (refs: readonly WeakRef<Uint8Array>[]) =>
  refs.filter((ref) => ref.deref() !== undefined).length;

test("buffers are freed once 24 MiB have been streamed, whoever streamed them", async () => {
  const refs = await abandonedBuffers(100);
  countStreamedBytes(12 * MIB);
  countStreamedBytes(12 * MIB);
  // A WeakRef holds its target to the end of the turn that made or read it.
  await new Promise(setImmediate);
  countStreamedBytes(24 * MIB);
  // The stack is scanned conservatively: a stray word may keep one or two.
  expect(held(refs)).toBeLessThan(5);
});
