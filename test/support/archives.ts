/*
 * Archives as package managers read them, in the smallest form that is valid.
 */

type Contents = Readonly<Record<string, string>>;

/** A zip archive whose entries are stored as they are (APPNOTE.TXT of PKWARE, 4.3). */
export function zip(contents: Contents): Uint8Array {
  const locals: Buffer[] = [];
  const entries: Buffer[] = [];
  let offset = 0;
  for (const [path, text] of Object.entries(contents)) {
    const name = Buffer.from(path);
    const data = Buffer.from(text);
    // Version 1.0, no flags, stored, 1980-01-01; then checksum, sizes, the name's length, no extra field.
    const common = Buffer.concat([
      u16(10, 0, 0, 0, 33),
      u32(Bun.hash.crc32(data), data.length, data.length),
      u16(name.length, 0),
    ]);
    const local = Buffer.concat([u32(0x04034b50), common, name, data]);
    entries.push(
      Buffer.concat([u32(0x02014b50), u16(10), common, u16(0, 0, 0), u32(0, offset), name]),
    );
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(entries);
  const count = entries.length;
  const end = [u32(0x06054b50), u16(0, 0, count, count), u32(directory.length, offset), u16(0)];
  return Buffer.concat([...locals, directory, ...end]);
}

function u16(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(2 * values.length);
  values.forEach((value, index) => bytes.writeUInt16LE(value, 2 * index));
  return bytes;
}

function u32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => bytes.writeUInt32LE(value, 4 * index));
  return bytes;
}

const BLOCK_BYTES = 512;

/** A compressed tar archive (POSIX.1-1988, ustar), each of whose files may be executed. */
export function tarGz(contents: Contents): Uint8Array<ArrayBuffer> {
  const blocks = Object.entries(contents).flatMap(([path, text]) => {
    const data = Buffer.from(text);
    const padding = Buffer.alloc((BLOCK_BYTES - (data.length % BLOCK_BYTES)) % BLOCK_BYTES);
    return [tarHeader(path, data.length), data, padding];
  });
  return Bun.gzipSync(Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK_BYTES)]));
}

function tarHeader(path: string, size: number): Buffer {
  const header = Buffer.alloc(BLOCK_BYTES);
  header.write(path, 0, 100);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
  header.write(
    [octal(0o755, 7), octal(0, 7), octal(0, 7), octal(size, 11), octal(0, 11)].join(""),
    100,
  );
  header.write(`${" ".repeat(8)}0`, 148);
  header.write("ustar\u000000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 6)} `, 148);
  return header;
}
