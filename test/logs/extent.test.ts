import { describe, expect, test } from "bun:test";
import fc from "fast-check";

import { measure, slice } from "../../src/logs/extent.ts";

/** A text as a log gives it: cut anywhere. */
async function* cut(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const size of sizes) {
    if (at >= bytes.length) return;
    yield await Promise.resolve(bytes.subarray(at, at + size));
    at += size;
  }
  if (at < bytes.length) yield bytes.subarray(at);
}

const texts = fc.string({ unit: fc.constantFrom("a", "\n", "é"), maxLength: 40 });
const cuts = fc.array(fc.integer({ min: 1, max: 7 }), { maxLength: 20 });

describe("the extent of a log", () => {
  test.each([
    ["", 1, ""],
    ["one", 1, "one"],
    ["one\n", 1, "one\n"],
    ["one\ntwo", 1, "two"],
    ["one\ntwo\n", 1, "two\n"],
    ["one\n\n", 1, "\n"],
    ["one\ntwo\nthree\n", 2, "two\nthree\n"],
    ["one\ntwo\n", 100, "one\ntwo\n"],
  ])("%j: the last %d lines are %j", async (text, lines, tail) => {
    const bytes = Buffer.from(text);
    const { sizeBytes, tailStart } = await measure(cut(bytes, [2, 1, 3]), lines);
    expect(sizeBytes).toBe(bytes.length);
    expect(bytes.subarray(tailStart).toString()).toBe(tail);
  });

  test("is that of tail(1), wherever the log is cut", async () => {
    await fc.assert(
      fc.asyncProperty(texts, cuts, fc.integer({ min: 1, max: 9 }), async (text, sizes, lines) => {
        const bytes = Buffer.from(text);
        const { tailStart } = await measure(cut(bytes, sizes), lines);
        const all = text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
        expect(bytes.subarray(tailStart).toString()).toBe(all.slice(-lines).join(""));
      }),
    );
  });
});

test("a slice is the bytes of its range, wherever the log is cut", async () => {
  await fc.assert(
    fc.asyncProperty(texts, cuts, fc.nat(50), fc.nat(50), async (text, sizes, start, length) => {
      const bytes = Buffer.from(text);
      const range = { start, end: start + length };
      const parts = await Array.fromAsync(slice(cut(bytes, sizes), range));
      expect(Buffer.concat(parts)).toEqual(bytes.subarray(range.start, range.end));
      expect(parts.every((part) => part.length > 0)).toBe(true);
    }),
  );
});

test("what comes after a slice is not read", async () => {
  let given = 0;
  const endless = async function* () {
    for (;;) {
      given += 1;
      yield await Promise.resolve(new Uint8Array(10));
    }
  };
  const parts = await Array.fromAsync(slice(endless(), { start: 15, end: 25 }));
  expect(parts.map(({ length }) => length)).toEqual([5, 5]);
  expect(given).toBe(3);
});
