import type { GuestMeter, HeldGuest } from "./guest-meter.ts";
import { readProportionalBytes, readResidentBytes, readTree } from "./process-tree.ts";
import type { GuestLimit } from "./sandbox.ts";

/*
 * A meter for where no cgroup can be made: it looks at the guest's processes again and again. Between two looks a guest
 * can take more than it may; rlimits bound what a single process takes meanwhile.
 */

const LOOK_INTERVAL_MS = 100;
/** Looking at a thousand processes takes long: it may take a tenth of this process's time, not more. */
const COST_SHARE = 10;
/** As for a cgroup, time to handle the kernel's SIGXCPU. */
const CPU_GRACE_MS = 250;

export function createTreeMeter(): GuestMeter {
  let supervisorPid = 0;
  let held: Pick<HeldGuest, "limits" | "helpers"> | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const met = new Set<GuestLimit>();

  const overLimit = (): GuestLimit | null => {
    if (held === undefined) return null;
    const { limits, helpers } = held;
    const usage = readTree(supervisorPid);
    if (usage.threads >= limits.processes + helpers) met.add("processes");
    if (usage.cpuMs > limits.cpuSec * 1000 + CPU_GRACE_MS) return "cpu";
    if (usage.residentBytes <= limits.memoryBytes) return null;
    // Only now the exact figure, which is dear.
    const bytes = readProportionalBytes(usage.pids);
    return bytes !== null && bytes <= limits.memoryBytes ? null : "memory";
  };

  const look = (onLimit: (limit: GuestLimit) => void) => {
    const startMs = performance.now();
    const limit = overLimit();
    if (limit !== null) {
      met.add(limit);
      onLimit(limit);
      return;
    }
    const costMs = performance.now() - startMs;
    timer = setTimeout(look, Math.max(LOOK_INTERVAL_MS, costMs * COST_SHARE), onLimit);
  };

  return {
    isHeldAsWhole: false,
    async enter(pid) {
      supervisorPid = pid;
    },
    memoryBytes: () => readResidentBytes(supervisorPid) + readTree(supervisorPid).residentBytes,
    limit(guest) {
      held = guest;
    },
    watch(onLimit) {
      timer = setTimeout(look, LOOK_INTERVAL_MS, onLimit);
    },
    finish() {
      clearTimeout(timer);
      const oom = met.has("memory") ? true : null;
      return { peakMemoryBytes: null, oom, limitsMet: [...met] };
    },
    makeRoom() {
      // Nothing here refuses a process its memory.
    },
    async close() {
      clearTimeout(timer);
    },
  };
}
