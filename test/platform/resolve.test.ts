import { expect, test } from "bun:test";
import { join } from "node:path";

import { resolveHost } from "../../src/platform/resolve.ts";

const addressesOf = async (host: string) => (await resolveHost(host)).map(({ address }) => address);

test("a name has its addresses, and an address is its own", async () => {
  expect(await addressesOf("localhost")).toContain("127.0.0.1");
  expect(await addressesOf("10.1.2.3")).toEqual(["10.1.2.3"]);
  expect(await addressesOf("fd00::1")).toEqual(["fd00::1"]);
});

test("a name that nobody has, has none", async () => {
  expect(resolveHost("nowhere.invalid")).rejects.toThrow();
});

test("names whose servers do not answer hold up nothing else", async () => {
  // A network of its own, whose name server takes every question and never answers.
  const program = join(import.meta.dir, "..", "programs", "silent-name-server.sh");
  const child = Bun.spawn(
    ["unshare", "--map-root-user", "--mount", "--net", "sh", program, process.execPath],
    { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );
  const output = await new Response(child.stdout).text();
  expect(output).toBe("/etc/hosts: 10.1.2.3\nfiles were read, and no name was resolved\n");
  expect(await child.exited).toBe(0);
}, 30_000);
