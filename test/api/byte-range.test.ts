import { expect, test } from "bun:test";

import { parseByteRange } from "../../src/api/byte-range.ts";

const SIZE_BYTES = 10;

const SATISFIABLE: readonly (readonly [header: string, start: number, end: number])[] = [
  ["bytes=0-", 0, 10],
  ["bytes=0-0", 0, 1],
  ["bytes=3-5", 3, 6],
  ["bytes=9-", 9, 10],
  ["bytes=5-999", 5, 10],
  ["bytes=-3", 7, 10],
  ["bytes=-999", 0, 10],
];

for (const [header, start, end] of SATISFIABLE) {
  test(`${header} of ten bytes is [${start}, ${end})`, () => {
    expect(parseByteRange(header, SIZE_BYTES)).toEqual({ start, end });
  });
}

// RFC 9110, section 14.2: what is not understood is ignored, and the whole body sent.
for (const header of [null, "", "bytes=", "bytes=-", "bytes=5-3", "bytes=0-1,3-4", "lines=1-2"]) {
  test(`${JSON.stringify(header)} means the whole body`, () => {
    expect(parseByteRange(header, SIZE_BYTES)).toBeNull();
  });
}

for (const [header, sizeBytes] of [
  ["bytes=10-", 10],
  ["bytes=11-12", 10],
  ["bytes=-0", 10],
  ["bytes=0-", 0],
  ["bytes=-5", 0],
] as const) {
  test(`${header} of ${sizeBytes} bytes cannot be met`, () => {
    expect(() => parseByteRange(header, sizeBytes)).toThrow(
      expect.objectContaining({ code: "range_not_satisfiable" }),
    );
  });
}
