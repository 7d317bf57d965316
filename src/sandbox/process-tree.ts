import { readdirSync, readFileSync } from "node:fs";

/*
 * What a process and all its descendants take, read from /proc (proc(5)): for guests without a cgroup. A look at
 * processes that come and go is no snapshot, so a single one may miss what is being born.
 */

/** Linux has reported times in hundredths of a second to user space on every architecture we run on (USER_HZ). */
const TICK_MS = 10;

export interface TreeUsage {
  readonly pids: readonly number[];
  /** Processes and threads. */
  readonly threads: number;
  /** Those that have ended and were waited for are in it, and the root's own. */
  readonly cpuMs: number;
  /** Resident anonymous and shared memory. Pages that a fork shares are counted for each. */
  readonly residentBytes: number;
}

/** The usage of everything below `rootPid`, and the CPU time of what it has waited for; nothing once it is gone. */
export function readTree(rootPid: number): TreeUsage {
  const pids: number[] = [];
  let [threads, cpuMs, residentBytes] = [0, 0, 0];
  const waiting = [rootPid];
  for (let pid = waiting.pop(); pid !== undefined; pid = waiting.pop()) {
    const stat = readStat(pid);
    if (stat === null) continue;
    cpuMs += stat.cpuMs;
    waiting.push(...childrenOf(pid));
    if (pid === rootPid) continue;
    pids.push(pid);
    threads += stat.threads;
    residentBytes += readResidentBytes(pid);
  }
  return { pids, threads, cpuMs, residentBytes };
}

/** Memory with each shared page counted once (the kernel's proportional sizes); null where they may not be read. */
export function readProportionalBytes(pids: readonly number[]): number | null {
  let bytes = 0;
  for (const pid of pids) {
    const text = read(`/proc/${pid}/smaps_rollup`);
    // Gone by now, or a zombie: it holds no memory. What is alive and may not be read leaves nothing to tell.
    if (text === null && readResidentBytes(pid) > 0) return null;
    bytes += kilobytes(text, "Pss_Anon") + kilobytes(text, "Pss_Shmem");
  }
  return bytes;
}

function readStat(pid: number): { readonly threads: number; readonly cpuMs: number } | null {
  const text = read(`/proc/${pid}/stat`);
  if (text === null) return null;
  // The second field, the name in parentheses, may itself hold spaces and parentheses; this begins with the third.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index] ?? 0), 0);
  return { threads: Number(fields[17] ?? 0), cpuMs: ticks * TICK_MS };
}

/** Resident anonymous and shared memory of one process; 0 once it is gone. */
export function readResidentBytes(pid: number): number {
  const text = read(`/proc/${pid}/status`);
  return kilobytes(text, "RssAnon") + kilobytes(text, "RssShmem");
}

function kilobytes(text: string | null, field: string): number {
  const found = text === null ? null : new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(text);
  return Number(found?.[1] ?? 0) * 1024;
}

function childrenOf(pid: number): readonly number[] {
  let threads: readonly string[];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
  return threads.flatMap((thread) =>
    (read(`/proc/${pid}/task/${thread}/children`) ?? "").split(" ").filter(Boolean).map(Number),
  );
}

/** null when the process is gone, or is not ours to look at. */
function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
