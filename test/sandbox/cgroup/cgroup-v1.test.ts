import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { cgroupV1 } from "../../../src/sandbox/cgroup/cgroup-v1.ts";

/* On a directory with files of the kernel's names and formats; the real ones are in guest-cgroups.test.ts where they are. */

const root = mkdtempSync(join(tmpdir(), "job-runner-cgroup-v1-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const at = (controller: string, file = "") => join(root, controller, "a", file);
for (const controller of ["memory", "pids", "cpu,cpuacct"])
  mkdirSync(at(controller), { recursive: true });
const together = join(root, "cpu,cpuacct");
const v1 = cgroupV1({
  memory: join(root, "memory"),
  pids: join(root, "pids"),
  cpu: together,
  cpuacct: together,
});
const contents = (controller: string, file: string) => readFileSync(at(controller, file), "utf8");

test("controllers that are mounted together have one directory", () => {
  expect(v1.parents).toEqual([join(root, "memory"), join(root, "pids"), together]);
});

test("limits: swap is none, by its own limit or by never swapping", () => {
  v1.setLimits("a", { memoryBytes: 4096, processes: 3, cpuPercent: 50 });
  expect(contents("memory", "memory.limit_in_bytes")).toBe("4096");
  expect(contents("memory", "memory.swappiness")).toBe("0");
  expect(contents("pids", "pids.max")).toBe("3");
  expect(contents("cpu,cpuacct", "cpu.cfs_quota_us")).toBe("50000");
  writeFileSync(at("memory", "memory.memsw.limit_in_bytes"), "9223372036854771712\n");
  v1.setLimits("a", { memoryBytes: 8192, processes: 3, cpuPercent: 0 });
  expect(contents("memory", "memory.memsw.limit_in_bytes")).toBe("8192");
  v1.raiseMemory("a", 16_384);
  expect(contents("memory", "memory.memsw.limit_in_bytes")).toBe("16384");
  expect(contents("memory", "memory.limit_in_bytes")).toBe("16384");
});

test("counts are read from where the kernel puts them", () => {
  writeFileSync(at("cpu,cpuacct", "cpuacct.usage"), "1500000000\n");
  writeFileSync(at("memory", "memory.max_usage_in_bytes"), "52428800\n");
  writeFileSync(at("memory", "memory.usage_in_bytes"), "4096\n");
  writeFileSync(
    at("memory", "memory.oom_control"),
    "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
  );
  writeFileSync(at("pids", "pids.events"), "max 9\n");
  expect(v1.counts("a")).toEqual({
    cpuMs: 1500,
    peakMemoryBytes: 52_428_800,
    currentMemoryBytes: 4096,
    oomKills: 2,
    refusedForks: 9,
  });
});
