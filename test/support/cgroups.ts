import type { GuestCgroups } from "../../src/sandbox/cgroup/cgroup.ts";
import { findCgroups, readCgroupView } from "../../src/sandbox/cgroup/find-cgroups.ts";
import { createGuestCgroups } from "../../src/sandbox/cgroup/guest-cgroups.ts";

const found = findCgroups(readCgroupView());

/** Where this machine lets us make cgroups; else null. */
export const hierarchy = found.hierarchy;

/** Whether the tests with cgroups can run; else they say why not. */
export function hasCgroups(): boolean {
  if (found.hierarchy !== null) return true;
  const remedy = `${found.problem} They need root, or a cgroup that was handed to this user (systemd-run --user -p Delegate=yes).`;
  if (process.env["CI"] === "true") throw new Error(remedy);
  console.warn(`Skipping the tests with cgroups: ${remedy}`);
  return false;
}

export function openCgroups(): GuestCgroups {
  if (found.hierarchy === null) throw new Error(found.problem);
  return createGuestCgroups(found.hierarchy);
}
