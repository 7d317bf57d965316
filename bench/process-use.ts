import { readdirSync, readFileSync, writeFileSync } from "node:fs";

/*
 * What processes use, by proc(5). All of it is read from outside: the service measures nothing for the bench.
 */

export interface CpuTime {
  readonly userMs: number;
  readonly systemMs: number;
}

export const NO_CPU: CpuTime = { userMs: 0, systemMs: 0 };

/** Times in /proc/PID/stat are in USER_HZ, which is 100 per second on every Linux that Bun runs on. */
const MS_PER_TICK = 10;

/** Used by all threads of a process. */
export function cpuOf(pid: number): CpuTime {
  const [userMs = 0, systemMs = 0] = cpuFields(pid);
  return { userMs, systemMs };
}

/**
 * Used by all that a process has started, ended or not: what ends is added to the one that waits for it, so that the
 * difference between two moments is what was used between them.
 */
export function cpuBelow(pid: number): CpuTime {
  const [, , ofChildrenMs = 0, ofChildrenSystemMs = 0] = cpuFields(pid);
  let [userMs, systemMs] = [ofChildrenMs, ofChildrenSystemMs];
  for (const descendant of descendantsOf(pid)) {
    const [own = 0, ownSystem = 0, children = 0, childrenSystem = 0] = cpuFields(descendant);
    userMs += own + children;
    systemMs += ownSystem + childrenSystem;
  }
  return { userMs, systemMs };
}

export function cpuBetween(before: CpuTime, after: CpuTime): CpuTime {
  return { userMs: after.userMs - before.userMs, systemMs: after.systemMs - before.systemMs };
}

export function addCpu(a: CpuTime, b: CpuTime): CpuTime {
  return { userMs: a.userMs + b.userMs, systemMs: a.systemMs + b.systemMs };
}

/** utime, stime, cutime, cstime in ms; zeros for a process that has just gone. */
function cpuFields(pid: number): readonly number[] {
  const stat = ofProcess(pid, "stat");
  // The name, in parentheses, may hold spaces; utime is the 14th field, the 12th after the name.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields.slice(11, 15).map((ticks) => Number(ticks) * MS_PER_TICK);
}

/** All processes below one, as they are now. */
export function descendantsOf(pid: number): readonly number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
}

export function childrenOf(pid: number): readonly number[] {
  return threadsOf(pid).flatMap((thread) =>
    ofProcess(pid, `task/${thread}/children`).split(" ").filter(Boolean).map(Number),
  );
}

/** Of the program that it runs, at most 15 bytes of it. */
export function nameOf(pid: number): string {
  return ofProcess(pid, "comm").trim();
}

function threadsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** Memory of processes together, what they share counted once (PSS). */
export function proportionalBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const kib = /^Pss:\s+(\d+) kB$/m.exec(ofProcess(pid, "smaps_rollup"))?.[1];
    return sum + Number(kib ?? 0) * 1024;
  }, 0);
}

/** Lets a process's peak of memory (VmHWM) begin anew, from what it has now. */
export function resetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

/** Empty where the process has gone. */
function ofProcess(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}
