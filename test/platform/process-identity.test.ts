import { expect, test } from "bun:test";

import { isDeadNeighbour, processIdentity } from "../../src/platform/process-identity.ts";

test("a process lives while it runs, and is dead once it has ended", async () => {
  const child = Bun.spawn(["sleep", "1000"], { stdio: ["ignore", "ignore", "ignore"] });
  const identity = processIdentity(child.pid);
  expect(isDeadNeighbour(identity)).toBe(false);
  child.kill("SIGKILL");
  await child.exited;
  expect(isDeadNeighbour(identity)).toBe(true);
});

test("this process is alive under the name it has", () => {
  expect(processIdentity()).toBe(processIdentity());
  expect(isDeadNeighbour(processIdentity())).toBe(false);
});

test("a pid that was given to a later process is not the earlier one", () => {
  const parts = processIdentity().split("/");
  parts[4] = String(Number(parts[4]) - 1);
  expect(isDeadNeighbour(parts.join("/"))).toBe(true);
});

test.each([
  ["another host", 0],
  ["another boot", 1],
  ["another pid namespace", 2],
])("a process of %s cannot be judged from here", (_where, part) => {
  const parts = processIdentity().split("/");
  parts[part] = "elsewhere";
  parts[3] = "999999999";
  expect(isDeadNeighbour(parts.join("/"))).toBe(false);
});

test("a name that is not ours cannot be judged", () => {
  expect(isDeadNeighbour("worker-1")).toBe(false);
});
