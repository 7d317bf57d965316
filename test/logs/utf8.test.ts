import { expect, test } from "bun:test";
import fc from "fast-check";

import { incompleteTailLength } from "../../src/logs/utf8.ts";

test("holds back every proper prefix of every character, and nothing of a whole one", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 3 }), (text) => {
      fc.pre(text.isWellFormed());
      const bytes = Buffer.from(text);
      expect(incompleteTailLength(bytes)).toBe(0);
      const lastLength = Buffer.byteLength([...text].at(-1) ?? "");
      for (let missing = 1; missing < lastLength; missing++)
        expect(incompleteTailLength(bytes.subarray(0, bytes.length - missing))).toBe(
          lastLength - missing,
        );
    }),
    { numRuns: 2000 },
  );
});

test("waits for nothing that can no longer become a character", () => {
  const strict = new TextDecoder("utf-8", { fatal: true });
  const completions = (prefix: number[]): boolean => {
    // Some continuation of these bytes decodes, exactly when the prefix is worth waiting for.
    for (const tail of [[0x80], [0x90], [0xa0], [0xbf]])
      for (const rest of [[], [0x80], [0x80, 0x80]]) {
        try {
          strict.decode(Uint8Array.from([...prefix, ...tail, ...rest]));
          return true;
        } catch {
          continue;
        }
      }
    return false;
  };
  for (let lead = 0x80; lead <= 0xff; lead++) {
    expect([lead, incompleteTailLength(Uint8Array.of(lead))]).toEqual([
      lead,
      completions([lead]) ? 1 : 0,
    ]);
    for (let second = 0x80; second <= 0xbf; second++) {
      const expected = completions([lead, second]) && lead >= 0xe0 ? 2 : 0;
      expect([lead, second, incompleteTailLength(Uint8Array.of(lead, second))]).toEqual([
        lead,
        second,
        expected,
      ]);
    }
  }
});
