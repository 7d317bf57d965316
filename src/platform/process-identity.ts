import { randomUUID } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/*
 * A name for a process that no other process ever has, from which a later one on the same machine can tell whether it
 * is still alive. Linux only knows the start time of a living pid, so pid and start time together are never reused
 * within one boot; the pid namespace keeps containers that share a host name apart.
 */

const PARTS = 5;

/** `host/boot/pidns/pid/starttime`; on a system without /proc a random name, which nobody can judge. */
export function processIdentity(pid: number = process.pid): string {
  const startTime = startTimeOf(pid);
  if (startTime === null) return `${hostname()}/${randomUUID()}`;
  return [hostname(), bootId(), pidNamespace(), pid, startTime].join("/");
}

/**
 * true only when `identity` was a process of this host, this boot and this pid namespace, and it is gone. false when it
 * lives or when it cannot be judged from here.
 */
export function isDeadNeighbour(identity: string): boolean {
  const parts = identity.split("/");
  if (parts.length !== PARTS) return false;
  const [host, boot, namespace, pid, startTime] = parts;
  if (host !== hostname() || boot !== bootId() || namespace !== pidNamespace()) return false;
  return startTimeOf(Number(pid)) !== startTime;
}

function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** The inode in `pid:[4026531836]`. */
function pidNamespace(): string {
  return readlinkSync("/proc/self/ns/pid").replace(/\D/g, "");
}

/** Field 22 of /proc/<pid>/stat (proc(5)), in clock ticks since boot; null when there is no such process. A zombie is gone. */
function startTimeOf(pid: number): string | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return null;
  }
  // The second field, the name in parentheses, may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  return state === "Z" || state === "X" ? null : (fields[19] ?? null);
}
