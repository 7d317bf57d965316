import { mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { isDeadNeighbour, processIdentity } from "../../platform/process-identity.ts";
import type { CgroupHierarchy, GuestCgroup, GuestCgroups } from "./cgroup.ts";

/*
 * Makes a cgroup per guest and removes it again. A directory's name is the identity of the process that made it and a
 * number, so that a later process can tell those of a dead one and remove them.
 */

/** An identity has slashes, a directory's name cannot. */
const SEPARATOR = "@";
/** v1 has no event for a cgroup that has become empty: it is tried again this often. */
const REMOVE_RETRY_MS = 5;
/** The kernel needs some ms to end a killed process; one that waits for a dead disk may take for ever. */
const REMOVE_DEADLINE_MS = 5_000;

export function createGuestCgroups(hierarchy: CgroupHierarchy): GuestCgroups {
  const owner = processIdentity().replaceAll("/", SEPARATOR);
  let made = 0;
  return {
    version: hierarchy.version,
    create() {
      made += 1;
      const name = [owner, made].join(SEPARATOR);
      try {
        for (const parent of hierarchy.parents) mkdirSync(join(parent, name));
      } catch (error) {
        tryRemove(hierarchy, name);
        throw error;
      }
      return guestCgroup(hierarchy, name);
    },
  };
}

function guestCgroup(hierarchy: CgroupHierarchy, name: string): GuestCgroup {
  return {
    async join(pid) {
      // Off this thread: the kernel may wait for a grace period of all CPUs before it moves a process, 10 ms or more.
      for (const parent of hierarchy.parents)
        await writeFile(join(parent, name, "cgroup.procs"), String(pid));
    },
    setLimits: (limits) => hierarchy.setLimits(name, limits),
    raiseMemory: (memoryBytes) => hierarchy.raiseMemory(name, memoryBytes),
    killTogether: () => hierarchy.killTogether(name),
    counts: () => hierarchy.counts(name),
    remove: () => killAndRemove(hierarchy, name),
  };
}

/** Removes the cgroups of dead processes of this service, with what may still run in them. */
export async function sweepCgroups(hierarchy: CgroupHierarchy): Promise<void> {
  const names = new Set(hierarchy.parents.flatMap((parent) => readdirSync(parent)));
  const abandoned = [...names].filter((name) => {
    const owner = name.slice(0, name.lastIndexOf(SEPARATOR));
    return isDeadNeighbour(owner.replaceAll(SEPARATOR, "/"));
  });
  await Promise.all(abandoned.map((name) => killAndRemove(hierarchy, name)));
}

async function killAndRemove(hierarchy: CgroupHierarchy, name: string): Promise<void> {
  const deadline = performance.now() + REMOVE_DEADLINE_MS;
  while (!tryRemove(hierarchy, name) && performance.now() < deadline) {
    killProcesses(hierarchy, name);
    await delay(REMOVE_RETRY_MS);
  }
}

/** Whether nothing is left of it. */
function tryRemove({ parents }: CgroupHierarchy, name: string): boolean {
  let isGone = true;
  for (const parent of parents)
    try {
      rmdirSync(join(parent, name));
    } catch (error) {
      if (!isMissing(error)) isGone = false;
    }
  return isGone;
}

function killProcesses(hierarchy: CgroupHierarchy, name: string): void {
  try {
    hierarchy.killAll(name);
  } catch {
    // It is gone by now; else each of its processes is killed below.
  }
  for (const pid of hierarchy.parents.flatMap((parent) => processesIn(join(parent, name))))
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It was faster.
    }
}

function processesIn(directory: string): readonly number[] {
  try {
    const text = readFileSync(join(directory, "cgroup.procs"), "utf8");
    // 0 is a process of another pid namespace: to kill, it would be this whole process group.
    return text
      .split("\n")
      .map(Number)
      .filter((pid) => pid > 0);
  } catch {
    return [];
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
