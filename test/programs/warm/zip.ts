import { crc32 } from "node:zlib";

/*
 * Makes archives of a few small files, not compressed, as APPNOTE.TXT of PKWARE describes them: each file behind a header of
 * its own, then a directory of them all, then where that is.
 */

/** The first moment that the format knows, 1980-01-01: two archives of the same files are the same. */
const DATE = 0x21;

/** `files`: contents by path. */
export function zipOf(files: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [path, text] of Object.entries(files)) {
    const [name, content] = [Buffer.from(path), Buffer.from(text)];
    // Version 2.0, no flags, not compressed, the time, the sum, both sizes, and the lengths of the name and of no more.
    const described = Buffer.concat([
      shorts(20, 0, 0, 0, DATE),
      longs(crc32(content), content.length, content.length),
      shorts(name.length, 0),
    ]);
    parts.push(longs(0x0403_4b50), described, name, content);
    // No comment, the first disk, no attributes.
    directory.push(longs(0x0201_4b50), shorts(20), described, shorts(0, 0, 0), longs(0, offset));
    directory.push(name);
    offset += 4 + described.length + name.length + content.length;
  }
  const count = Object.keys(files).length;
  const listed = Buffer.concat(directory);
  const end = [
    longs(0x0605_4b50),
    shorts(0, 0, count, count),
    longs(listed.length, offset),
    shorts(0),
  ];
  return new Uint8Array(Buffer.concat([...parts, listed, ...end]));
}

function shorts(...values: readonly number[]): Buffer {
  return Buffer.from(Uint16Array.from(values).buffer);
}

function longs(...values: readonly number[]): Buffer {
  return Buffer.from(Uint32Array.from(values).buffer);
}
