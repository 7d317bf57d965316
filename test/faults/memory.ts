import { readFileSync } from "node:fs";

/** What a process has in memory now. Throws when there is no such process (any more). */
export function residentBytes(pid: number): number {
  return memoryBytes(pid, "VmRSS");
}

/** The most that it has ever had. Throws as residentBytes does. */
export function peakResidentBytes(pid: number): number {
  return memoryBytes(pid, "VmHWM");
}

/** A field of proc(5), /proc/PID/status. One that has ended, and is not waited for yet, has none. */
function memoryBytes(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kib = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1];
  if (kib === undefined) throw new Error(`Process ${pid} has no ${field}`);
  return Number(kib) * 1024;
}
