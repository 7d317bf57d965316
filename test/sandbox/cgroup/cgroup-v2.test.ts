import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { cgroupV2 } from "../../../src/sandbox/cgroup/cgroup-v2.ts";

/*
 * On a directory with files of the kernel's names and formats (cgroup-v2.rst): where a machine binds its controllers to
 * v1, v2 has none of these files. What is v2's own there, killing and watching, is tested on the real one
 * (guest-cgroups.test.ts).
 */

const parent = mkdtempSync(join(tmpdir(), "job-runner-cgroup-v2-"));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

function fixture(name: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(join(parent, name));
  for (const [file, text] of Object.entries(files)) writeFileSync(join(parent, name, file), text);
}
const contents = (name: string, file: string) => readFileSync(join(parent, name, file), "utf8");
const v2 = cgroupV2(parent);

test("limits are written in the kernel's units; swap is none", () => {
  fixture("a", { "memory.swap.max": "max\n" });
  v2.setLimits("a", { memoryBytes: 1_048_576, processes: 7, cpuPercent: 150 });
  expect(contents("a", "memory.max")).toBe("1048576");
  expect(contents("a", "memory.swap.max")).toBe("0");
  expect(contents("a", "pids.max")).toBe("7");
  expect(contents("a", "cpu.max")).toBe("150000 100000");
  v2.raiseMemory("a", 2_097_152);
  expect(contents("a", "memory.max")).toBe("2097152");
  v2.killTogether("a");
  expect(contents("a", "memory.oom.group")).toBe("1");
});

test("without swap and without a cap on CPU those files stay alone", () => {
  fixture("b", {});
  v2.setLimits("b", { memoryBytes: 4096, processes: 1, cpuPercent: 0 });
  expect(() => contents("b", "memory.swap.max")).toThrow("ENOENT");
  expect(() => contents("b", "cpu.max")).toThrow("ENOENT");
  // Nor is a kernel asked to kill that cannot.
  v2.killAll("b");
  expect(() => contents("b", "cgroup.kill")).toThrow("ENOENT");
});

test("counts are read from where the kernel puts them", () => {
  fixture("c", {
    "cpu.stat": "usage_usec 1234567\nuser_usec 1000000\nsystem_usec 234567\n",
    "memory.peak": "52428800\n",
    "memory.current": "4096\n",
    "memory.events": "low 0\nhigh 0\nmax 12\noom 4\noom_kill 3\noom_group_kill 1\n",
    "pids.events": "max 5\n",
    "cgroup.kill": "",
  });
  expect(v2.counts("c")).toEqual({
    cpuMs: 1234.567,
    peakMemoryBytes: 52_428_800,
    currentMemoryBytes: 4096,
    oomKills: 3,
    refusedForks: 5,
  });
  rmSync(join(parent, "c/memory.peak"));
  expect(v2.counts("c").peakMemoryBytes).toBeNull();
  v2.killAll("c");
  expect(contents("c", "cgroup.kill")).toBe("1");
});
