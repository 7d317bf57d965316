import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { messageOf } from "../../errors.ts";
import type { CgroupHierarchy } from "./cgroup.ts";
import { cgroupV1, type V1Parents } from "./cgroup-v1.ts";
import { cgroupV2 } from "./cgroup-v2.ts";

/*
 * Finds where this process may make cgroups: on v2 at the top of what it sees (as root, or in a container of its own),
 * else below its own cgroup where that was handed to it (systemd's Delegate=yes); on v1 below its own.
 */

/** /proc/self/mountinfo and /proc/self/cgroup, as proc(5) and cgroups(7) describe them. */
export interface CgroupView {
  readonly mountInfo: string;
  readonly ownCgroups: string;
}

export type FoundCgroups =
  | { readonly hierarchy: CgroupHierarchy; readonly problem: null }
  /** A sentence for the operator. */
  | { readonly hierarchy: null; readonly problem: string };

/** Holds the guests' cgroups. */
const PARENT = "job-runner";
/** v2 lets a cgroup either hold processes or hand controllers on: those of this service move in here. */
const SERVICE = "job-runner-service";
const NEEDED_V2 = ["memory", "pids", "cpu"];

/** Empty where there is no such /proc. */
export function readCgroupView(): CgroupView {
  try {
    return {
      mountInfo: readFileSync("/proc/self/mountinfo", "utf8"),
      ownCgroups: readFileSync("/proc/self/cgroup", "utf8"),
    };
  } catch {
    return { mountInfo: "", ownCgroups: "" };
  }
}

/** Makes the parent directories. Never throws. */
export function findCgroups(view: CgroupView): FoundCgroups {
  const mounts = cgroupMounts(view);
  const v2 = mounts.find(({ type }) => type === "cgroup2");
  // A hybrid system mounts v2 as well, with the controllers left to v1.
  if (v2 !== undefined && controllersOf(v2.path).includes("memory")) return openV2(v2);
  return openV1(mounts.filter(({ type }) => type === "cgroup"));
}

interface CgroupMount {
  readonly type: string;
  readonly path: string;
  /** The directory of this process's own cgroup. */
  readonly own: string;
  /** Of v1: the controllers of this mount. */
  readonly controllers: readonly string[];
}

function cgroupMounts({ mountInfo, ownCgroups }: CgroupView): CgroupMount[] {
  const own = new Map<string, string>();
  for (const line of ownCgroups.trim().split("\n")) {
    const [, controllers = "", ...path] = line.split(":");
    for (const controller of controllers.split(",")) own.set(controller, path.join(":"));
  }
  return mountInfo.split("\n").flatMap((line) => {
    const [mount = "", kind = ""] = line.split(" - ");
    const [, , , root = "/", path = ""] = mount.split(" ");
    const [type = "", , options = ""] = kind.split(" ");
    if (type !== "cgroup" && type !== "cgroup2") return [];
    const controllers = type === "cgroup" ? options.split(",") : [];
    const ownPath = own.get(controllers.find((each) => own.has(each)) ?? "") ?? "/";
    // What a container sees mounted is its own part of the tree, while the path may be told from the host's root.
    const below = root !== "/" && ownPath.startsWith(root) ? ownPath.slice(root.length) : ownPath;
    return [{ type, path, own: join(path, below), controllers }];
  });
}

function controllersOf(directory: string): readonly string[] {
  try {
    return readFileSync(join(directory, "cgroup.controllers"), "utf8").trim().split(" ");
  } catch {
    return [];
  }
}

/** Throws what the file system throws, or an Error where a directory is no cgroup. */
function makeParent(base: string): string {
  const parent = join(base, PARENT);
  mkdirSync(parent, { recursive: true });
  // Something else may be mounted over what /proc tells of: it would take any file, and hold nobody to anything.
  if (!existsSync(join(parent, "cgroup.procs"))) throw new Error(`${parent} is no cgroup`);
  return parent;
}

// ---- v2

function openV2(mount: CgroupMount): FoundCgroups {
  let problem = "";
  for (const base of new Set([mount.path, mount.own]))
    try {
      return { hierarchy: cgroupV2(prepareV2(base)), problem: null };
    } catch (error) {
      problem = messageOf(error);
    }
  return { hierarchy: null, problem: `No cgroup can be made under ${mount.own}: ${problem}.` };
}

/** Makes the parent of the guests' cgroups, with its controllers on. Throws what the file system throws. */
function prepareV2(base: string): string {
  const parent = makeParent(base);
  // A process is moved only by whoever may write to the cgroup above both of its places.
  for (const path of [parent, join(base, "cgroup.procs")]) accessSync(path, constants.W_OK);
  const missing = NEEDED_V2.filter((each) => !controllersOf(base).includes(each));
  if (missing.length > 0) throw new Error(`its controllers lack ${missing.join(" and ")}`);
  enableControllers(base, () => leave(base));
  enableControllers(parent, () => undefined);
  return parent;
}

function enableControllers(directory: string, makeRoom: () => void): void {
  const path = join(directory, "cgroup.subtree_control");
  const enabled = readFileSync(path, "utf8").trim().split(" ");
  const missing = NEEDED_V2.filter((each) => !enabled.includes(each));
  if (missing.length === 0) return;
  const wanted = missing.map((each) => `+${each}`).join(" ");
  try {
    writeFileSync(path, wanted);
  } catch (error) {
    // Refused while processes are in it, except at the very top.
    if (!(error instanceof Error && "code" in error && error.code === "EBUSY")) throw error;
    makeRoom();
    writeFileSync(path, wanted);
  }
}

/** Moves every process of a cgroup that was handed to this service into one below it. */
function leave(base: string): void {
  const service = join(base, SERVICE);
  mkdirSync(service, { recursive: true });
  for (const pid of readFileSync(join(base, "cgroup.procs"), "utf8").split("\n").filter(Boolean))
    writeFileSync(join(service, "cgroup.procs"), pid);
}

// ---- v1

function openV1(mounts: readonly CgroupMount[]): FoundCgroups {
  if (mounts.length === 0)
    return {
      hierarchy: null,
      problem: "No cgroup file system is mounted with a memory controller.",
    };
  try {
    const parents: V1Parents = {
      memory: prepareV1(mounts, "memory"),
      pids: prepareV1(mounts, "pids"),
      cpu: prepareV1(mounts, "cpu"),
      cpuacct: prepareV1(mounts, "cpuacct"),
    };
    return { hierarchy: cgroupV1(parents), problem: null };
  } catch (error) {
    return { hierarchy: null, problem: `No cgroup can be made: ${messageOf(error)}.` };
  }
}

/** Throws what the file system throws, or an Error that names the missing controller. */
function prepareV1(mounts: readonly CgroupMount[], controller: string): string {
  const mount = mounts.find(({ controllers }) => controllers.includes(controller));
  if (mount === undefined) throw new Error(`the controller ${controller} is not mounted`);
  const parent = makeParent(mount.own);
  accessSync(parent, constants.W_OK);
  return parent;
}
