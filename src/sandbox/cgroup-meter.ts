import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";

import { MIB } from "../jobs/limits.ts";
import type { CgroupCounts, GuestCgroup, GuestCgroups } from "./cgroup/cgroup.ts";
import type { GuestMeter, HeldGuest, Measures } from "./guest-meter.ts";
import type { GuestLimit } from "./sandbox.ts";

/*
 * A meter on a cgroup. The kernel enforces memory and processes; CPU time it only counts, so that is looked at whenever
 * the guest could have used up the rest of it, and not before.
 */

/** The supervisor's own memory, which is not the job's. */
const SUPERVISOR_BYTES = 16 * MIB;
/** Seen of one that has started its program; taken for one beside which an interpreter, which is the job's, waited. */
const TYPICAL_SUPERVISOR_BYTES = 3 * MIB;
/** So much more while the files come out: a guest that died of its full memory would take the supervisor with it. */
const COLLECTION_BYTES = 32 * MIB;
/** The supervisor; bubblewrap's own process in there became it. */
const OWN_PROCESSES = 1;
/** CPU time past the limit that a program gets to handle the kernel's SIGXCPU. */
const CPU_GRACE_MS = 250;
const MIN_CPU_CHECK_MS = 50;

export interface CgroupMeterOptions {
  /** In percent of one core; 0: no cap. */
  readonly cpuPercent: number;
}

/** Throws what the file system throws. */
export function createCgroupMeter(
  cgroups: GuestCgroups,
  { cpuPercent }: CgroupMeterOptions,
): GuestMeter {
  const cgroup = cgroups.create();
  let held: HeldGuest | undefined;
  let supervisorPid = 0;
  let startMemoryBytes = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let measures: Measures | undefined;
  let removed: Promise<void> | undefined;

  /** Looks when the rest of the time that is allowed could have been used, and until it has. */
  const watchCpu = (onLimit: (limit: GuestLimit) => void, allowedMs: number, leftMs: number) => {
    const lookAgain = () => {
      const nowLeftMs = cpuLeftMs(cgroup, allowedMs);
      if (nowLeftMs > 0) watchCpu(onLimit, allowedMs, nowLeftMs);
      else onLimit("cpu");
    };
    const delayMs = Math.max(leftMs / availableParallelism(), MIN_CPU_CHECK_MS);
    timer = setTimeout(lookAgain, delayMs);
  };

  return {
    isHeldAsWhole: true,
    async enter(pid) {
      supervisorPid = pid;
      await cgroup.join(pid);
    },
    memoryBytes: () => cgroup.counts().currentMemoryBytes,
    limit(guest) {
      held = guest;
      const { limits, helpers } = guest;
      cgroup.setLimits({
        memoryBytes: limits.memoryBytes + SUPERVISOR_BYTES,
        processes: limits.processes + OWN_PROCESSES + helpers,
        cpuPercent,
      });
    },
    watch(onLimit) {
      if (held === undefined) return;
      const { limits, isWarm } = held;
      const counts = cgroup.counts();
      startMemoryBytes = isWarm ? TYPICAL_SUPERVISOR_BYTES : counts.currentMemoryBytes;
      // After the program was forked: it must not inherit this.
      if (sparesFromOom(supervisorPid)) cgroup.killTogether();
      const leftMs = limits.cpuSec * 1000 + CPU_GRACE_MS;
      watchCpu(onLimit, counts.cpuMs + leftMs, leftMs);
    },
    finish() {
      clearTimeout(timer);
      measures ??= measuresOf(cgroup.counts(), startMemoryBytes);
      return measures;
    },
    makeRoom() {
      if (held !== undefined)
        cgroup.raiseMemory(held.limits.memoryBytes + SUPERVISOR_BYTES + COLLECTION_BYTES);
    },
    async close() {
      clearTimeout(timer);
      await (removed ??= cgroup.remove());
    },
  };
}

/** In a timer nobody hears an error: what cannot be read now is read the next time, and each process has its rlimit meanwhile. */
function cpuLeftMs(cgroup: GuestCgroup, allowedMs: number): number {
  try {
    return allowedMs - cgroup.counts().cpuMs;
  } catch {
    return MIN_CPU_CHECK_MS;
  }
}

function measuresOf(
  { oomKills, peakMemoryBytes, refusedForks }: CgroupCounts,
  startMemoryBytes: number,
): Measures {
  const isOom = oomKills > 0;
  return {
    peakMemoryBytes: jobPeak(peakMemoryBytes, startMemoryBytes),
    oom: isOom,
    limitsMet: [
      ...(isOom ? (["memory"] as const) : []),
      ...(refusedForks > 0 ? (["processes"] as const) : []),
    ],
  };
}

/** Less what was there before the program: the supervisor. Its copies of the job's files are the job's, if small. */
function jobPeak(peakMemoryBytes: number | null, startMemoryBytes: number): number | null {
  if (peakMemoryBytes === null) return null;
  return Math.max(peakMemoryBytes - Math.min(startMemoryBytes, SUPERVISOR_BYTES), 0);
}

/** Whether the process is now out of the OOM killer's reach, which only root can arrange (proc(5), oom_score_adj). */
function sparesFromOom(pid: number): boolean {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, "-1000");
    return true;
  } catch {
    return false;
  }
}
