import { expect, test } from "bun:test";
import { closeSync, writeSync } from "node:fs";

import { openFilledFile, openPipe, readPipe } from "../../src/platform/pipe.ts";
import { openFds, untilNoNewFds } from "../support/guests.ts";

test("a filled file is read from its start, whatever its size", async () => {
  const bytes = Buffer.alloc(200_000, "a\0b");
  const fd = openFilledFile(bytes);
  const child = Bun.spawn(["/bin/sh", "-c", "cat <&3"], {
    stdio: ["ignore", "pipe", "inherit", fd],
  });
  closeSync(fd);
  expect(Buffer.from(await new Response(child.stdout).arrayBuffer()).equals(bytes)).toBe(true);
});

test("a child does not inherit the ends that it was not given", () => {
  const { readFd, writeFd } = openPipe();
  const { stdout } = Bun.spawnSync(["/bin/sh", "-c", `ls -l /proc/self/fd`]);
  expect(stdout.toString()).not.toContain("pipe:[" + pipeInode(readFd));
  closeSync(readFd);
  closeSync(writeFd);
});

function pipeInode(fd: number): string {
  const line = openFds().find((each) => each.startsWith(`${fd} `)) ?? "";
  return /\d+(?=\])/.exec(line)?.[0] ?? "none";
}

test("the descriptor is given back at the end, on cancel and on close", async () => {
  const before = openFds();
  for (const how of ["end", "cancel", "close"]) {
    const { readFd, writeFd } = openPipe();
    const { stream, close } = readPipe(readFd);
    writeSync(writeFd, "x");
    const reader = stream.getReader();
    expect((await reader.read()).value).toEqual(new Uint8Array([120]));
    if (how === "end") closeSync(writeFd);
    const waiting = reader.read();
    if (how === "cancel") await reader.cancel();
    if (how === "close") await close();
    expect((await waiting).done).toBe(true);
    if (how !== "end") closeSync(writeFd);
    await close();
  }
  expect(await untilNoNewFds(before)).toEqual([]);
});

test("what nobody reads stays with its writer", async () => {
  const { readFd, writeFd } = openPipe();
  const child = Bun.spawn(["/usr/bin/head", "-c", "50000000", "/dev/zero"], { stdout: writeFd });
  closeSync(writeFd);
  const { stream } = readPipe(readFd);
  // What must not happen sends no event; that every byte comes afterwards is asserted below.
  expect(await Promise.race([child.exited, Bun.sleep(200).then(() => "blocked")])).toBe("blocked");
  let total = 0;
  for await (const chunk of stream) total += chunk.length;
  expect(total).toBe(50_000_000);
});
