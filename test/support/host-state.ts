import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { join } from "node:path";

import { type Installed, isRoot } from "./set-ups.ts";

/** What jobs could leave behind on the host; each list is sorted, and the same whenever nothing runs and as many wait. */
export interface HostState {
  /** One word for each sandbox of the service that is up. */
  readonly sandboxes: readonly string[];
  /** Processes of guests that are in none, as `pid name`. */
  readonly strays: readonly string[];
  /** Mounts that the host sees, and that the service sees. */
  readonly mounts: readonly string[];
  /** Of guests, their numbers left out. */
  readonly cgroups: readonly string[];
  /** What belongs to guests' users in shared directories, and everything in the service's runtime directory. */
  readonly files: readonly string[];
  /** What the service has open, numbers left out; connections come and go with the test's own calls. */
  readonly descriptors: readonly string[];
}

const SHARED_DIRECTORIES = ["/tmp", "/var/tmp", "/run", "/dev/shm"];

export function hostState(installed: Installed): HostState {
  const { service, guestUids } = installed;
  const processes = guestProcesses(installed).map((pid) => ({
    pid,
    top: topBelow(service.pid, pid),
  }));
  const tops = processes.flatMap(({ top }) => (top === null ? [] : [top]));
  return {
    sandboxes: [...new Set(tops)].map(() => "sandbox"),
    strays: processes
      .filter(({ top }) => top === null)
      .map(({ pid }) => `${pid} ${statusOf(pid)("Name")}`),
    mounts: ["self", service.pid].flatMap((pid) => linesOf(`/proc/${pid}/mounts`)),
    cgroups: cgroupsOf(identityOf(service.pid)).map((path) => path.replace(/\d+$/, "")),
    files: sharedFiles(service.pid, guestUids),
    descriptors: descriptors(service.pid),
  };
}

/** Between two looks: none of what is looked at sends an event to somebody who is not its parent. */
const LOOK_AGAIN_MS = 20;

/** Looks until `isAsExpected`, or until the deadline, and resolves to the last look. */
export async function lookUntil<T>(
  look: () => T,
  isAsExpected: (seen: T) => boolean,
  deadlineMs = 5_000,
): Promise<T> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    const seen = look();
    if (isAsExpected(seen) || performance.now() > endMs) return seen;
    await delay(LOOK_AGAIN_MS);
  }
}

/** Resident memory of a process. */
function residentBytes(pid: number): number {
  return Number.parseInt(statusOf(pid)("VmRSS"), 10) * 1024;
}

/** A collector that has nothing else to do frees what the last jobs left within so long. */
const SETTLED_MS = 2_000;

/** Resident memory of an idle process once no less has been seen for a while, or no more than `enoughBytes` at once. */
export async function settledBytes(pid: number, enoughBytes = 0): Promise<number> {
  let lowest = Number.POSITIVE_INFINITY;
  for (;;) {
    const previous = lowest;
    const seen = await lookUntil(
      () => residentBytes(pid),
      (bytes) => bytes <= enoughBytes || bytes < previous - NOISE_BYTES,
      SETTLED_MS,
    );
    lowest = Math.min(previous, seen);
    if (seen <= enoughBytes || seen >= previous - NOISE_BYTES) return lowest;
  }
}

const NOISE_BYTES = 1024 * 1024;

/** The processes of this host that are guests', whatever has become of their sandbox or of the service. */
export function guestProcesses({ service, guestUids }: Installed): readonly number[] {
  const [first, last] = guestUids;
  const ours = [service.pid];
  // What it was started by may run as the same user.
  for (let pid = service.pid; pid > 1; ours.push(pid)) pid = parentOf(pid);
  return readdirSync("/proc").flatMap((name) => {
    const pid = Number(name);
    if (!/^\d+$/.test(name) || ours.includes(pid)) return [];
    const field = statusOf(pid);
    const uid = Number.parseInt(field("Uid"), 10);
    if (!(uid >= first && uid <= last)) return [];
    // Where the test's own user is the service's, it has other processes too: those of guests are in a namespace.
    const isInNamespace = field("NSpid").includes("\t") || field("Name") === "bwrap";
    return isRoot || isInNamespace ? [pid] : [];
  });
}

/** The child of `ancestor` that `pid` descends from, or is; null where it does not. */
function topBelow(ancestor: number, pid: number): number | null {
  const parent = parentOf(pid);
  if (parent === ancestor) return pid;
  return parent > 1 ? topBelow(ancestor, parent) : null;
}

/** 0 where there is none, or no such process. */
export function parentOf(pid: number): number {
  return Number(statusOf(pid)("PPid"));
}

/** Reads a process's status (proc(5)) once; a field of one that is gone is empty. */
function statusOf(pid: number): (field: string) => string {
  const status = linesOf(`/proc/${pid}/status`).join("\n");
  return (field) => new RegExp(`^${field}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";
}

/** The cgroups, of either version, whose names hold the identity of a service. */
export function cgroupsOf(identity: string): readonly string[] {
  const name = `*@${identity.replaceAll("/", "@")}@*`;
  const { stdout } = Bun.spawnSync(["find", "/sys/fs/cgroup", "-type", "d", "-name", name]);
  return stdout.toString().split("\n").filter(Boolean).sort();
}

function sharedFiles(pid: number, [first, last]: Installed["guestUids"]): readonly string[] {
  const found = SHARED_DIRECTORIES.flatMap((directory) => {
    // As the service sees it: in a container these are its own.
    const seen = join("/proc", String(pid), "root", directory);
    return readdirSync(seen).flatMap((name) => {
      const path = join(seen, name);
      const uid = lstatSync(path, { throwIfNoEntry: false })?.uid ?? -1;
      if (isRuntimeDirectory(path, pid))
        return readdirSync(path, { recursive: true }).map((each) =>
          join(directory, name, String(each)),
        );
      return uid >= first && uid <= last ? [join(directory, name)] : [];
    });
  });
  return found.sort();
}

/** Its owner file names the service. */
function isRuntimeDirectory(path: string, pid: number): boolean {
  return linesOf(join(path, "owner"))[0]?.includes(`/${identityOf(pid)}/`) ?? false;
}

/** The middle of a service's name for itself: its pid namespace and its pid in there (platform/process-identity.ts). */
export function identityOf(pid: number): string {
  const namespace = readlinkSync(`/proc/${pid}/ns/pid`).replace(/\D/g, "");
  return `${namespace}/${statusOf(pid)("NSpid").split("\t").at(-1)}`;
}

function descriptors(pid: number): readonly string[] {
  const connections = ["tcp", "tcp6"].flatMap((table) =>
    linesOf(`/proc/${pid}/net/${table}`).map((line) => line.trim().split(/\s+/)[9] ?? ""),
  );
  const found = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    const target = linkOf(`/proc/${pid}/fd/${fd}`);
    if (connections.includes(/^socket:\[(\d+)\]$/.exec(target)?.[1] ?? "none")) return [];
    return target === "" ? [] : [target.replace(/\[\d+\]/, "[]")];
  });
  return found.sort();
}

/** Everything below a job folder's root that is neither a directory nor a plain file of the service's own. */
export function oddFiles(dataDir: string): readonly string[] {
  const owner = statSync(dataDir).uid;
  return readdirSync(dataDir, { recursive: true })
    .map((name) => join(dataDir, String(name)))
    .filter((path) => {
      const stat = lstatSync(path);
      const isPlain = stat.isFile() && stat.nlink === 1 && (stat.mode & 0o7111) === 0;
      return stat.uid !== owner || !(stat.isDirectory() || isPlain);
    });
}

/** None for a file that is not there, or no longer. */
function linesOf(path: string): readonly string[] {
  try {
    return readFileSync(path, "utf8").split("\n").filter(Boolean);
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
