import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { CgroupHierarchy } from "./cgroup.ts";

/*
 * Version 1: a tree per controller (Documentation/admin-guide/cgroup-v1/ in the kernel's sources). It has no kill of a
 * whole group, neither on request nor on running out of memory: there the kernel picks one process.
 */

/** The controllers that a guest's cgroup needs here, each with the directory that holds the guests' ones. */
export interface V1Parents {
  readonly memory: string;
  readonly pids: string;
  readonly cpu: string;
  readonly cpuacct: string;
}

/** The kernel's default period of CPU bandwidth, in microseconds (scheduler/sched-bwc.rst). */
const CPU_PERIOD_US = 100_000;

export function cgroupV1(parents: V1Parents): CgroupHierarchy {
  const memory = (name: string, file: string) => join(parents.memory, name, `memory.${file}`);
  const setMemory = (name: string, file: string, bytes: number) =>
    writeFileSync(memory(name, file), String(bytes));
  // Memory and swap together; only there where the kernel accounts swap.
  const limitsSwap = (name: string) => existsSync(memory(name, "memsw.limit_in_bytes"));
  return {
    version: "v1",
    // Controllers that are mounted together have one directory.
    parents: [...new Set(Object.values(parents))],
    setLimits(name, limits) {
      setMemory(name, "limit_in_bytes", limits.memoryBytes);
      if (limitsSwap(name)) setMemory(name, "memsw.limit_in_bytes", limits.memoryBytes);
      else setMemory(name, "swappiness", 0);
      writeFileSync(join(parents.pids, name, "pids.max"), String(limits.processes));
      if (limits.cpuPercent > 0)
        writeFileSync(
          join(parents.cpu, name, "cpu.cfs_quota_us"),
          String((limits.cpuPercent / 100) * CPU_PERIOD_US),
        );
    },
    raiseMemory(name, memoryBytes) {
      // In this order: the limit without swap must never be above the one with it.
      if (limitsSwap(name)) setMemory(name, "memsw.limit_in_bytes", memoryBytes);
      setMemory(name, "limit_in_bytes", memoryBytes);
    },
    killTogether() {},
    counts: (name) => ({
      get cpuMs() {
        return readNumber(join(parents.cpuacct, name, "cpuacct.usage")) / 1e6;
      },
      get peakMemoryBytes() {
        return readNumber(memory(name, "max_usage_in_bytes"));
      },
      get currentMemoryBytes() {
        return readNumber(memory(name, "usage_in_bytes"));
      },
      get oomKills() {
        return readField(memory(name, "oom_control"), "oom_kill");
      },
      get refusedForks() {
        return readField(join(parents.pids, name, "pids.events"), "max");
      },
    }),
    killAll() {},
  };
}

function readNumber(path: string): number {
  return Number(readFileSync(path, "utf8"));
}

/** The number after a name at the start of a line; 0 when there is none. */
export function readField(path: string, name: string): number {
  const text = readFileSync(path, "utf8");
  return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
}
