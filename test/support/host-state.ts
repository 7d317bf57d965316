import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { join } from "node:path";

import { type Installed, isRoot } from "./set-ups.ts";

/** What jobs could leave behind on the host; each list is sorted, and the same whenever nothing runs. */
export interface HostState {
  /** Processes of guests, as `pid name`. */
  readonly processes: readonly string[];
  /** Mounts that the host sees, and that the service sees. */
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  /** What belongs to guests' users in shared directories, and everything in the service's runtime directory. */
  readonly files: readonly string[];
  /** What the service has open, numbers left out; connections come and go with the test's own calls. */
  readonly descriptors: readonly string[];
}

const SHARED_DIRECTORIES = ["/tmp", "/var/tmp", "/run", "/dev/shm"];

export function hostState({ service, guestUids }: Installed): HostState {
  return {
    processes: guestProcesses(guestUids),
    mounts: ["self", service.pid].flatMap((pid) => linesOf(`/proc/${pid}/mounts`)),
    cgroups: cgroups(),
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
export function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

function guestProcesses([first, last]: Installed["guestUids"]): readonly string[] {
  const found = readdirSync("/proc").flatMap((pid) => {
    const status = /^\d+$/.test(pid) ? linesOf(`/proc/${pid}/status`).join("\n") : "";
    const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";
    const uid = Number.parseInt(field("Uid"), 10);
    if (!(uid >= first && uid <= last)) return [];
    // Where the test's own user is the service's, it has other processes too: those of guests are in a namespace.
    const isInNamespace = field("NSpid").includes("\t") || field("Name") === "bwrap";
    return isRoot || isInNamespace ? [`${pid} ${field("Name")}`] : [];
  });
  return found.sort();
}

/** Every directory of ours in the cgroup file systems, whatever their version. */
export function cgroups(): readonly string[] {
  const { stdout } = Bun.spawnSync([
    "find",
    "/sys/fs/cgroup",
    "-type",
    "d",
    "-path",
    "*job-runner*",
  ]);
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

/** Its owner file names the service, by its pid namespace and its pid in there (platform/process-identity.ts). */
function isRuntimeDirectory(path: string, pid: number): boolean {
  const owner = linesOf(join(path, "owner"))[0] ?? "";
  const namespace = readlinkSync(`/proc/${pid}/ns/pid`).replace(/\D/g, "");
  const innerPid = /^NSpid:.*?(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return owner.includes(`/${namespace}/${innerPid}/`);
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
