import { expect, test } from "bun:test";
import { closeSync } from "node:fs";

import { openPipe, readPipe } from "../../src/platform/pipe.ts";
import { spawnProcess, type SpawnRequest } from "../../src/platform/spawn.ts";

const shell = (script: string, rest: Partial<SpawnRequest> = {}) =>
  spawnProcess({ argv: ["/bin/sh", "-c", script], env: {}, cwd: "/", extraFds: [], ...rest });

test("a child sees its descriptors as 3, 4, ..., its own environment and directory only", async () => {
  const { readFd, writeFd } = openPipe();
  const child = shell("echo $A; pwd; env | wc -l", { env: { A: "x" }, extraFds: [writeFd] });
  child.endStdin();
  const other = shell("(echo $A; pwd; env) >&3", {
    env: { A: "x" },
    cwd: "/usr",
    extraFds: [writeFd],
  });
  closeSync(writeFd);
  const text = await new Response(readPipe(readFd).stream).text();
  expect(text).toBe("x\n/usr\nA=x\nPWD=/usr\n");
  expect(await Promise.all([child.exited, other.exited])).toEqual([0, 0]);
});

test("stdin has back-pressure, and ends", async () => {
  const child = shell("wc -c >&2");
  const chunk = new Uint8Array(1024 * 1024);
  for (let sent = 0; sent < 50; sent += 1) await child.writeStdin(chunk);
  child.endStdin();
  child.endStdin();
  expect((await new Response(child.stderr).text()).trim()).toBe(String(50 * chunk.length));
});

test("writing to a child that is gone is silent", async () => {
  const child = shell("exit 3");
  expect(await child.exited).toBe(3);
  await child.writeStdin(new Uint8Array(1_000_000));
  child.endStdin();
  child.kill();
});

test("kill is SIGKILL, and a missing program throws", async () => {
  const child = shell("trap '' TERM; sleep 60");
  child.kill();
  expect(await child.exited).toBe(137);
  expect(() => shell("", { argv: ["/no/such/program"] })).toThrow("/no/such/program");
});

test("ids that Bun would take for root are refused", () => {
  for (const id of [Number.NaN, 0, -1, 1.5, 2 ** 32])
    for (const ids of [{ uid: id }, { gid: id }])
      expect(() => shell("true", ids)).toThrow("whole number");
});

if (process.getuid?.() === 0)
  test("uid and gid are taken on, with no other groups", async () => {
    const child = shell("id >&2", { uid: 20_009, gid: 20_009 });
    expect(await new Response(child.stderr).text()).toBe("uid=20009 gid=20009 groups=20009\n");
  });
