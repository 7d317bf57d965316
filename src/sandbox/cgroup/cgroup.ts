/*
 * A cgroup holds one guest: limits for all its processes together, the kernel's own counts of what they took, and a
 * handle to end them by. Version 2 has one tree of directories for everything, version 1 one tree per controller; what
 * differs between them is a CgroupHierarchy, what is alike is in guest-cgroups.ts.
 */

interface CgroupLimits {
  /** Memory of all processes, their files in tmpfs included. Swap is none. */
  readonly memoryBytes: number;
  /** Processes and threads. */
  readonly processes: number;
  /** CPU time per second of wall time, in percent of one core; 0: no cap. */
  readonly cpuPercent: number;
}

/** What the kernel has counted since the cgroup was made; each is read when it is asked for. */
export interface CgroupCounts {
  readonly cpuMs: number;
  /** null where this kernel does not record it (v2 before 5.19). */
  readonly peakMemoryBytes: number | null;
  readonly currentMemoryBytes: number;
  /** Processes that were killed because the limit of memory was met. */
  readonly oomKills: number;
  /** Processes and threads that were refused because there were too many. */
  readonly refusedForks: number;
}

/** The files of one version. `name` is the directory of one guest in each of `parents`. */
export interface CgroupHierarchy {
  readonly version: "v1" | "v2";
  /** The directories that guests' directories are made in; they exist and are ours to write to. */
  readonly parents: readonly string[];
  /** Throws what the file system throws. */
  setLimits(name: string, limits: CgroupLimits): void;
  /** Raises the limit of memory. */
  raiseMemory(name: string, memoryBytes: number): void;
  /** Makes the kernel kill all processes of the guest together, where it can, less those with an oom_score_adj of -1000. */
  killTogether(name: string): void;
  counts(name: string): CgroupCounts;
  /** Sends SIGKILL to every process in it, where the kernel can do so at once; a no-op elsewhere. */
  killAll(name: string): void;
}

/** The cgroup of one guest. */
export interface GuestCgroup {
  /** Moves a process into it; what the process starts from then on is born there. Rejects with what the file system throws. */
  join(pid: number): Promise<void>;
  /** Throws what the file system throws. */
  setLimits(limits: CgroupLimits): void;
  raiseMemory(memoryBytes: number): void;
  killTogether(): void;
  counts(): CgroupCounts;
  /** Kills what is left in it and removes it; resolves when it is gone, or cannot be removed within a few seconds. */
  remove(): Promise<void>;
}

export interface GuestCgroups {
  readonly version: "v1" | "v2";
  /** Without limits. Throws what the file system throws; nothing is left behind then. */
  create(): GuestCgroup;
}
