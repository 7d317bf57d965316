import { expect, test } from "bun:test";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openLineWriter } from "../../src/platform/line-writer.ts";
import { openPipe } from "../../src/platform/pipe.ts";

/** More than a pipe holds (64 KiB, pipe(7)). */
const MORE_THAN_A_PIPE_BYTES = 200_000;

/** Reads what is there, up to `bytes`. */
function read(fd: number, bytes: number): string {
  const buffer = Buffer.alloc(bytes);
  return buffer.subarray(0, readSync(fd, buffer)).toString();
}

test("a line is there when the call returns, and lines come after what was in the file", () => {
  const directory = mkdtempSync(join(tmpdir(), "line-writer-"));
  const path = join(directory, "log");
  const fd = openSync(path, "w");
  writeSync(fd, "before\n");
  const write = openLineWriter(fd);
  expect([write("one"), write("zwölf")]).toEqual([true, true]);
  writeSync(fd, "after\n");
  expect(readFileSync(path, "utf8")).toBe("before\none\nzwölf\nafter\n");
  closeSync(fd);
  rmSync(directory, { recursive: true });
});

test("a pipe that nobody empties loses lines and makes nobody wait; whole lines follow once it is read", () => {
  const { readFd, writeFd } = openPipe();
  const write = openLineWriter(writeFd);
  const line = "x".repeat(999);
  let count = 0;
  while (write(line)) count++;
  expect(count).toBeGreaterThan(0);
  expect([write(line), write(line)]).toEqual([false, false]);
  let held = read(readFd, MORE_THAN_A_PIPE_BYTES);
  expect(write("next")).toBe(true);
  held += read(readFd, MORE_THAN_A_PIPE_BYTES);
  expect(held).toBe(`${line}\n`.repeat(count) + "next\n");
  closeSync(readFd);
  closeSync(writeFd);
});

test("a line longer than a pipe holds is not cut: its rest goes out before the next line", () => {
  const { readFd, writeFd } = openPipe();
  const write = openLineWriter(writeFd);
  const long = "y".repeat(MORE_THAN_A_PIPE_BYTES);
  expect([write(long), write("lost")]).toEqual([true, false]);
  let held = "";
  let isWritten = false;
  while (!isWritten) {
    held += read(readFd, MORE_THAN_A_PIPE_BYTES);
    isWritten = write("next");
  }
  held += read(readFd, MORE_THAN_A_PIPE_BYTES);
  expect(held).toBe(`${long}\nnext\n`);
  closeSync(readFd);
  closeSync(writeFd);
});

test("a pipe that was closed at its other end is no error", () => {
  const { readFd, writeFd } = openPipe();
  const write = openLineWriter(writeFd);
  closeSync(readFd);
  expect([write("one"), write("two")]).toEqual([false, false]);
  closeSync(writeFd);
});

test("the pipe stays as it was for whoever shares it", () => {
  const { readFd, writeFd } = openPipe();
  const flags = () =>
    /flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${writeFd}`, "utf8"))?.[1];
  const before = flags();
  openLineWriter(writeFd)("one");
  expect(before).toMatch(/^\d+$/);
  expect(flags()).toBe(before);
  closeSync(readFd);
  closeSync(writeFd);
});
