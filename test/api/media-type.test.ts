import { expect, test } from "bun:test";

import { mediaTypeOf } from "../../src/api/media-type.ts";

const TYPES: readonly (readonly [path: string, type: string])[] = [
  ["out.txt", "text/plain; charset=utf-8"],
  ["a/b.c/plot.PNG", "image/png"],
  ["archive.tar.gz", "application/gzip"],
  ["README", "application/octet-stream"],
  ["folder.txt/file", "application/octet-stream"],
  ["name.", "application/octet-stream"],
  ["", "application/octet-stream"],
  ["x.constructor", "application/octet-stream"],
  ["x.__proto__", "application/octet-stream"],
];

for (const [path, type] of TYPES) {
  test(`${JSON.stringify(path)} is served as ${type}`, () => {
    expect(mediaTypeOf(path)).toBe(type);
  });
}
