import { describe, expect, test } from "bun:test";

import { createGuestOutputReader, MalformedOutput } from "../../src/sandbox/guest-output.ts";

const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const u64 = (value: bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
};
const record = (type: string, ...payload: readonly (Uint8Array | string)[]) => {
  const body = Buffer.concat(payload.map((part) => Buffer.from(part)));
  return Buffer.concat([Buffer.from(type), u32(body.length), body]);
};
const file = (path: string | Uint8Array, text: string) =>
  Buffer.concat([record("F", u64(BigInt(text.length)), path), record("D", text)]);
const emptyFiles = (count: number, path: string) =>
  Buffer.concat(Array.from({ length: count }, () => record("F", u64(0n), path)));
const END = record("T", u32(0));

const WANTED = { maxTotalBytes: 1000, isBelowFolder: false };

/** `pieces` bytes at a time, so that no boundary is where a record's is. */
function reader(bytes: Uint8Array, { pieces = bytes.length || 1 } = {}) {
  let at = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.subarray(at, at + pieces));
      at += pieces;
    },
  });
  return createGuestOutputReader(stream, { stallMs: 200 });
}

async function files(
  source: ReturnType<typeof reader>,
  wanted = WANTED,
): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const { path, bytes } of source.readFiles(wanted)) {
    found[path] = "";
    for await (const chunk of bytes) found[path] += Buffer.from(chunk).toString();
  }
  return found;
}

test("started, exit and files, however the bytes are cut", async () => {
  const exit = record("E", u32(3), u32(0), u64(12n), u32(0));
  const all = Buffer.concat([
    record("S"),
    exit,
    file("a", "text"),
    file("d/ü", "more"),
    record("F", u64(0n), "empty"),
    END,
  ]);
  for (const pieces of [1, 2, 7, 1000]) {
    const source = reader(all, { pieces });
    expect(await source.readStarted(() => undefined)).toBe(true);
    expect(await source.readExit()).toEqual({
      exitCode: 3,
      signalNumber: null,
      cpuMs: 12,
      isDiskFull: false,
      isEndedForDisk: false,
      needsRoom: true,
    });
    expect(await files(source)).toEqual({ a: "text", "d/ü": "more", empty: "" });
    expect(source.leftOut()).toBe(0);
  }
});

test("a word that it is ready comes before the start, and never twice", async () => {
  for (const [said, isUseful] of [
    [1, true],
    [0, false],
  ] as const) {
    const heard: boolean[] = [];
    const ready = record("R", new Uint8Array([said]));
    const source = reader(Buffer.concat([ready, record("S")]), { pieces: 2 });
    expect(await source.readStarted((word) => heard.push(word))).toBe(true);
    expect(heard).toEqual([isUseful]);
    const again = reader(Buffer.concat([ready, ready]));
    expect(await again.readStarted(() => undefined).catch(String)).toContain("a record S");
  }
});

test("a stream that ends before a record has none", async () => {
  expect(await reader(Buffer.alloc(0)).readStarted(() => undefined)).toBe(false);
  expect(await reader(Buffer.alloc(0)).readExit()).toBeNull();
});

test("a signal is no exit code", async () => {
  const source = reader(record("E", u32(0), u32(11), u64(0n), u32(7)));
  expect(await source.readExit()).toEqual({
    exitCode: null,
    signalNumber: 11,
    cpuMs: 0,
    isDiskFull: true,
    isEndedForDisk: true,
    needsRoom: false,
  });
});

test("of one folder there may be more files, up to a cap as well", async () => {
  const wanted = { ...WANTED, isBelowFolder: true };
  const named = (count: number) =>
    reader(Buffer.concat([emptyFiles(count, "a".repeat(90)), END]), { pieces: 65_536 });
  expect(await files(named(20_000), wanted)).toEqual({ ["a".repeat(90)]: "" });
  for (const tooMany of [named(20_001), reader(emptyFiles(2_080, "a".repeat(1_001)))])
    expect(await files(tooMany, wanted).catch((error: unknown) => error)).toBeInstanceOf(
      MalformedOutput,
    );
});

test("a consumer that does not read a file gets the next one whole", async () => {
  const source = reader(Buffer.concat([file("a", "aaaa"), file("b", "bb"), END]), { pieces: 3 });
  const paths: string[] = [];
  for await (const { path } of source.readFiles(WANTED)) paths.push(path);
  expect(paths).toEqual(["a", "b"]);
});

test("names that are no relative UTF-8 path are dropped and counted", async () => {
  const bad = ["../up", "/abs", "a//b", ".", "a/..", "nul\0", new Uint8Array([0x61, 0xff])];
  const source = reader(
    Buffer.concat([...bad.map((path) => file(path, "x")), file("ok", "y"), record("T", u32(2))]),
  );
  expect(await files(source)).toEqual({ ok: "y" });
  expect(source.leftOut()).toBe(bad.length + 2);
});

describe("what a hostile guest says is refused", () => {
  const cases: Record<string, Uint8Array> = {
    "a file that is cut off": Buffer.concat([record("F", u64(10n), "a"), record("D", "123")]),
    "more bytes than announced": Buffer.concat([
      record("F", u64(1n), "a"),
      record("D", "123"),
      END,
    ]),
    "a file after another's missing bytes": Buffer.concat([
      record("F", u64(5n), "a"),
      file("b", "x"),
    ]),
    "an empty chunk, for ever": Buffer.concat([record("F", u64(5n), "a"), record("D")]),
    "a total over the cap": Buffer.concat([
      file("a", "x".repeat(600)),
      file("b", "x".repeat(600)),
      END,
    ]),
    "a size of 2^63": record("F", u64(2n ** 63n), "a"),
    "an unknown record": record("Z"),
    "a record of 4 GiB": Buffer.concat([Buffer.from("D"), u32(0xffff_ffff)]),
    "no name": record("F", u64(0n)),
    "a name of 5000 bytes": record("F", u64(0n), "x".repeat(5000)),
    "half a header": Buffer.from("F\0"),
    "no end": file("a", "x"),
    "1,001 files": emptyFiles(1_001, "a"),
    "301 names of 1,000 bytes": emptyFiles(301, "a".repeat(1_000)),
  };
  for (const [name, bytes] of Object.entries(cases))
    test(name, async () => {
      expect(await files(reader(bytes)).catch((error: unknown) => error)).toBeInstanceOf(
        MalformedOutput,
      );
    });

  test("an end that no program has", async () => {
    for (const bytes of [
      record("E", "short"),
      record("E", u32(256), u32(0), u64(0n), u32(0)),
      record("E", u32(0), u32(65), u64(0n), u32(0)),
      record("S"),
    ])
      expect(
        await reader(bytes)
          .readExit()
          .catch((error: unknown) => error),
      ).toBeInstanceOf(MalformedOutput);
  });

  test("silence in the middle", async () => {
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(Buffer.from("F")),
    });
    const source = createGuestOutputReader(stream, { stallMs: 30 });
    expect(await files(source).catch(String)).toContain("Nothing came for 30 ms");
  });
});

test("paths that would bloat the job's record are refused, however small the files", async () => {
  const name = (index: number) => `${String(index).padStart(4, "0")}${"x".repeat(1000)}`;
  const many = Array.from({ length: 300 }, (_, index) => record("F", u64(0n), name(index)));
  const source = reader(Buffer.concat([...many, END]));
  const error = await files(source).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(MalformedOutput);
  const few = Buffer.concat([...many.slice(0, 250), END]);
  expect(Object.keys(await files(reader(few))).length).toBe(250);
});
