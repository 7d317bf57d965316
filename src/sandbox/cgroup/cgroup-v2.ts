import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { CgroupHierarchy } from "./cgroup.ts";
import { readField } from "./cgroup-v1.ts";

/*
 * Version 2: one tree for all controllers (Documentation/admin-guide/cgroup-v2.rst in the kernel's sources, which names
 * the files and their fields).
 */

/** The kernel's default period of CPU bandwidth, in microseconds. */
const CPU_PERIOD_US = 100_000;

/** `parent` holds the guests' directories, with memory, pids and cpu among its cgroup.subtree_control. */
export function cgroupV2(parent: string): CgroupHierarchy {
  const file = (name: string, suffix: string) => join(parent, name, suffix);
  const write = (name: string, suffix: string, value: string) =>
    writeFileSync(file(name, suffix), value);
  return {
    version: "v2",
    parents: [parent],
    setLimits(name, limits) {
      write(name, "memory.max", String(limits.memoryBytes));
      // Absent where the kernel has no swap to account.
      if (existsSync(file(name, "memory.swap.max"))) write(name, "memory.swap.max", "0");
      write(name, "pids.max", String(limits.processes));
      if (limits.cpuPercent > 0) {
        const quotaUs = (limits.cpuPercent / 100) * CPU_PERIOD_US;
        write(name, "cpu.max", `${quotaUs} ${CPU_PERIOD_US}`);
      }
    },
    raiseMemory: (name, memoryBytes) => write(name, "memory.max", String(memoryBytes)),
    killTogether: (name) => write(name, "memory.oom.group", "1"),
    counts: (name) => ({
      get cpuMs() {
        return readField(file(name, "cpu.stat"), "usage_usec") / 1000;
      },
      get peakMemoryBytes() {
        return existsSync(file(name, "memory.peak"))
          ? Number(readFileSync(file(name, "memory.peak"), "utf8"))
          : null;
      },
      get currentMemoryBytes() {
        return Number(readFileSync(file(name, "memory.current"), "utf8"));
      },
      get oomKills() {
        return readField(file(name, "memory.events"), "oom_kill");
      },
      get refusedForks() {
        return readField(file(name, "pids.events"), "max");
      },
    }),
    killAll(name) {
      // Since Linux 5.14.
      if (existsSync(file(name, "cgroup.kill"))) write(name, "cgroup.kill", "1");
    },
  };
}
