import { readdirSync, readFileSync } from "node:fs";

import type { UidRange } from "./guest-uids.ts";

/*
 * bwrap clones its inner process, which then waits for a word of the outer one before anything that would end it with
 * its parent is set up. A service that is killed within that millisecond leaves the inner process waiting for ever: it
 * runs nothing and holds no job, but it stays. Nobody is left to see it but the next service.
 */

interface ProcessStatus {
  readonly name: string;
  readonly uid: number;
  readonly parentPid: number;
  /** Its pid in the innermost namespace that it is in. */
  readonly innermostPid: number;
}

/** Kills inner processes of these uids whose bwrap is gone; those of a living service are children of one. */
export function killOrphans({ first, last }: UidRange): void {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    const status = readStatus(pid);
    if (status === null || status.name !== "bwrap" || status.innermostPid !== 1) continue;
    if (status.uid < first || status.uid > last) continue;
    if (readStatus(status.parentPid)?.name === "bwrap") continue;
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It was faster.
    }
  }
}

function readStatus(pid: number): ProcessStatus | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    // It has ended since the listing.
    return null;
  }
  const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(text)?.[1] ?? "";
  return {
    name: field("Name"),
    uid: Number.parseInt(field("Uid"), 10),
    parentPid: Number(field("PPid")),
    innermostPid: pid === 1 ? 0 : nestedPid(field("NSpid")),
  };
}

/** The last of several pids; 0 for a process that is in no namespace below ours. */
function nestedPid(field: string): number {
  const pids = field.split(/\s+/);
  return pids.length > 1 ? Number(pids.at(-1)) : 0;
}
