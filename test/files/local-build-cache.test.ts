import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  statfsSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { BuildCache, KeptFiles, NewFile } from "../../src/files/build-cache.ts";
import { openLocalBuildCache } from "../../src/files/local-build-cache.ts";
import { openFds, Printed, untilNoNewFds } from "../support/guests.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
/** What a pack takes beside the bytes of a file. */
const MAX_OVERHEAD_BYTES = 512;

let folder: string;
let cache: BuildCache;
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), "job-runner-cache-")), ".compiled");
  cache = open(100);
});
afterEach(() => rmSync(join(folder, ".."), { recursive: true, force: true }));

function open(maxKib: number, minFreeBytes = 0): BuildCache {
  return openLocalBuildCache(folder, { maxBytes: maxKib * KIB, minFreeBytes });
}

async function* filesOf(contents: Readonly<Record<string, string>>): AsyncGenerator<NewFile> {
  for (const [path, text] of Object.entries(contents))
    yield { path, bytes: await Promise.resolve(new Blob([text]).stream()) };
}

/** Keeps files and closes them; a letter of the key stands for all of it. */
async function keep(key: string, contents: Readonly<Record<string, string>>, into = cache) {
  await (await into.keep(key, filesOf(contents))).close();
}

async function contentsOf({ files }: KeptFiles): Promise<Readonly<Record<string, string>>> {
  const contents: Record<string, string> = {};
  for (const file of files) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of file.bytes()) chunks.push(chunk.slice());
    contents[file.path] = Buffer.concat(chunks).toString();
  }
  return contents;
}

/** What is found under a key, closed again; null where nothing is. */
async function found(key: string, from = cache) {
  const kept = await from.find(key);
  if (kept === null) return null;
  const contents = await contentsOf(kept);
  await kept.close();
  return contents;
}

test("what was kept is found as it was, with its sizes and hashes, by another process too", async () => {
  const contents = { "a/main": "x".repeat(70_000), empty: "", "zwölf \n": "12" };
  const kept = await cache.keep("k", filesOf(contents));
  expect(await contentsOf(kept)).toEqual(contents);
  expect(kept.files.map(({ sizeBytes }) => sizeBytes)).toEqual([70_000, 0, 2]);
  expect(kept.files[2]!.sha256).toBe(new Bun.CryptoHasher("sha256").update("12").digest("hex"));
  await kept.close();
  expect(await found("k")).toEqual(contents);
  expect(await found("k", open(100))).toEqual(contents);
  expect(await found("other")).toBeNull();
});

test("a file may be read twice, and after it was removed by others", async () => {
  await keep("k", { a: "first", b: "second" });
  const kept = (await cache.find("k"))!;
  rmSync(join(folder, "k"));
  for (let time = 0; time < 2; time++)
    expect(await contentsOf(kept)).toEqual({ a: "first", b: "second" });
  await kept.close();
});

test("nothing of it is for others on this machine", async () => {
  await keep("k", { a: "x" });
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  expect(statSync(join(folder, "k")).mode & 0o777).toBe(0o600);
});

describe("a broken one is none, and is taken away", () => {
  const path = () => join(folder, "k");
  const damages: readonly [string, () => void][] = [
    ["empty", () => truncateSync(path())],
    ["cut off", () => truncateSync(path(), statSync(path()).size - 1)],
    ["cut off in front", () => writeFileSync(path(), readFileSync(path()).subarray(1))],
    ["of other bytes", () => writeFileSync(path(), readFileSync(path()).fill(0x79, 0, 1))],
    ["of zeros", () => writeFileSync(path(), Buffer.alloc(statSync(path()).size))],
    ["something else", () => writeFileSync(path(), `${"x".repeat(100)}[{}]\0\0\0\x04jrpack01`)],
  ];
  test.each(damages)("%s", async (_what, damage) => {
    await keep("k", { a: "xxxxxxxxxx", b: "y" });
    damage();
    const before = openFds();
    expect(await found("k")).toBeNull();
    expect(existsSync(path())).toBe(false);
    expect(await untilNoNewFds(before)).toEqual([]);
  });
});

test("of what a killed process was writing nothing is found, and another process can keep it", async () => {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "keep-child.ts"), folder], {
    stdin: "pipe",
    stdout: "pipe",
  });
  await new Printed(child.stdout).until("half");
  child.kill("SIGKILL");
  await child.exited;
  const [left, ...others] = readdirSync(folder);
  expect([statSync(join(folder, left!)).size, others]).toEqual([50_000, []]);
  expect(await found("k")).toBeNull();
  await keep("k", { main: "whole" });
  expect(await found("k")).toEqual({ main: "whole" });
});

test("files that cannot be read to their end leave nothing behind", async () => {
  async function* breaking(): AsyncGenerator<NewFile> {
    yield* filesOf({ a: "x" });
    throw new Error("The compiler went away");
  }
  const kept = cache.keep("k", breaking());
  await expect(kept).rejects.toThrow("The compiler went away");
  expect(readdirSync(folder)).toEqual([]);
});

describe("bounds", () => {
  const big = { a: "x".repeat(30 * KIB) };
  const age = (key: string, ageSec: number) => {
    const at = Date.now() / 1000 - ageSec;
    utimesSync(join(folder, key), at, at);
  };

  test("what was used the longest ago goes first, and to be found is to be used", async () => {
    for (const [index, key] of ["a", "b", "c"].entries()) {
      await keep(key, big);
      age(key, 100 - index);
    }
    expect(await found("a")).toEqual(big);
    await keep("d", big);
    expect(readdirSync(folder).toSorted()).toEqual(["a", "c", "d"]);
    const bytes = readdirSync(folder).map((name) => statSync(join(folder, name)).size);
    expect(bytes.reduce((sum, each) => sum + each)).toBeLessThanOrEqual(100 * KIB);
    expect(bytes[0]!).toBeLessThan(30 * KIB + MAX_OVERHEAD_BYTES);
  });

  test("one that is larger than all may be is there for its job alone, and drives nothing out", async () => {
    await keep("a", big);
    const contents = { a: "x".repeat(101 * KIB) };
    const kept = await cache.keep("k", filesOf(contents));
    expect([kept.isShared, await contentsOf(kept)]).toEqual([false, contents]);
    await kept.close();
    expect(readdirSync(folder)).toEqual(["a"]);
  });

  test("without room for any, each is there for its job alone", async () => {
    const none = open(0);
    expect([none.keepsForLater, cache.keepsForLater]).toEqual([false, true]);
    const kept = await none.keep("k", filesOf({ a: "x" }));
    expect(await contentsOf(kept)).toEqual({ a: "x" });
    await kept.close();
    expect(await found("k", none)).toBeNull();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("what a dead process was writing goes after ten minutes, and takes the place of others until then", async () => {
    await keep("a", big);
    for (const name of ["b.1.new", "c.2.new"])
      writeFileSync(join(folder, name), Buffer.alloc(80 * KIB));
    age("b.1.new", 610);
    await keep("d", { a: "x" });
    expect(readdirSync(folder).toSorted()).toEqual(["c.2.new", "d"]);
    age("c.2.new", 610);
    await keep("a", big);
    expect(readdirSync(folder).toSorted()).toEqual(["a", "d"]);
  });

  test("where the disk gets full what was kept goes, before a job has to do without", async () => {
    await keep("a", big);
    await keep("b", big);
    age("a", 100);
    const { bavail, bsize } = statfsSync(folder);
    // Less than twice what has to stay free is free, and nothing that could be removed changes that.
    const tight = open(1_000, Math.floor((bavail * bsize) / 2) + 100 * MIB);
    await keep("c", { c: "x" }, tight);
    expect(readdirSync(folder)).toEqual(["c"]);
  });

  test("a disk with less free space than the store needs is left alone", async () => {
    const kept = open(100, Number.MAX_SAFE_INTEGER).keep("k", filesOf({ a: "x" }));
    await expect(kept).rejects.toHaveProperty("code", "storage_full");
    expect(readdirSync(folder)).toEqual([]);
  });
});

test("what else stands under a key is not there, and is not waited for", async () => {
  await keep("a", { a: "x" });
  mkdirSync(join(folder, "folder"));
  symlinkSync(join(folder, "a"), join(folder, "link"));
  expect(Bun.spawnSync(["mkfifo", join(folder, "pipe")]).exitCode).toBe(0);
  for (const key of ["folder", "link", "pipe"]) expect(await found(key)).toBeNull();
  expect(await found("a")).toEqual({ a: "x" });
});

test("a pack whose paths lead elsewhere is none", async () => {
  for (const path of ["../../etc/passwd", "/etc/passwd", "a/../b", ""]) {
    await keep("k", { [path]: "x" });
    expect([path, await found("k")]).toEqual([path, null]);
  }
});

test("many processes' worth of keeping and finding at once: what is found is whole", async () => {
  const contents = (key: string) => ({ main: key.repeat(20 * KIB) });
  const work = Array.from({ length: 40 }, async (_, number) => {
    const own = open(100);
    const key = "abcdefg"[number % 7]!;
    const seen = await found(key, own);
    if (seen !== null) expect(seen).toEqual(contents(key));
    await keep(key, contents(key), own);
  });
  await Promise.all(work);
  const bytes = readdirSync(folder).map((name) => statSync(join(folder, name)).size);
  // All may have gone for what others were writing just then.
  expect(bytes.reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(100 * KIB);
  expect(readdirSync(folder).filter((name) => name.endsWith(".new"))).toEqual([]);
});
