import { lstatSync, readlinkSync } from "node:fs";
import { AppError } from "../errors.ts";
import { GUEST_ID, SUPERVISOR_DIR_IN_GUEST, type GuestRoot } from "./guest-root.ts";
import type { ReadOnlyMount } from "./sandbox.ts";

export interface BubblewrapView {
  readonly root: GuestRoot;
  readonly mounts: readonly ReadOnlyMount[];
  readonly proxySocket?: string | undefined;
  /** Size of /work, and of /tmp. */
  readonly diskBytes: number;
  /** Descriptor, in the child, that bubblewrap reports the inner process on. */
  readonly statusFd: number;
  /** Descriptor, in the child, that bubblewrap reads the system call filter from (seccomp.ts). */
  readonly seccompFd: number;
}

/** Where supervisor.pl expects it. */
const PROXY_SOCKET_IN_GUEST = "/run/proxy.sock";

/** Shared memory of a guest; a constant, since it is neither disk nor the heap of a process. */
const SHM_BYTES = 64 * 1024 * 1024;

/** With a merged /usr these are links into it, else directories of their own. */
const SYSTEM_DIRECTORIES = ["/bin", "/sbin", "/lib", "/lib32", "/lib64"];

/** What must not be covered by a mount: the guest's own places, whose files are handed out or writable. */
const OWN_DIRECTORIES = /^\/(?:work|proc|dev|etc|usr)?(?:\/|$)/;

/**
 * The options, NUL separated as `bwrap --args FD` reads them: through a descriptor they stay out of `ps`. A NUL inside a
 * value would be an option of its own (one mounted another job's directory): refused with AppError `sandbox_error`.
 */
export function encodeBubblewrapArguments(view: BubblewrapView): Uint8Array {
  const options = [
    isolationOptions(),
    fileSystemOptions(view),
    ["--chdir", "/work"],
    ["--seccomp", String(view.seccompFd)],
    ["--json-status-fd", String(view.statusFd)],
  ].flat();
  if (options.some((option) => option.includes("\0")))
    throw new AppError("sandbox_error", "A mount's path holds a NUL");
  return new TextEncoder().encode(options.map((each) => `${each}\0`).join(""));
}

/**
 * `--unshare-user` is spelled out because `--unshare-all` only tries it and `--disable-userns` needs it. `--as-pid-1`
 * makes the supervisor PID 1: bubblewrap's own reaper shows the service's environment in /proc/1/environ.
 */
function isolationOptions(): string[] {
  return [
    ["--unshare-user", "--disable-userns"],
    ["--uid", String(GUEST_ID), "--gid", String(GUEST_ID)],
    ["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-net"],
    ["--unshare-cgroup-try", "--hostname", "sandbox"],
    ["--new-session", "--die-with-parent", "--as-pid-1"],
    ["--cap-drop", "ALL", "--clearenv"],
  ].flat();
}

/** `/` and `/dev` are tmpfs that the job owns, without a size, until they are remounted read-only. */
function fileSystemOptions({ root, mounts, diskBytes, proxySocket }: BubblewrapView): string[] {
  return [
    ["--ro-bind", "/usr", "/usr"],
    ...SYSTEM_DIRECTORIES.map(systemDirectory),
    ["--ro-bind", root.etc, "/etc"],
    ...root.etcMounts.map((path) => ["--ro-bind", path, path]),
    ["--proc", "/proc", "--dev", "/dev"],
    tmpfs("/dev/shm", SHM_BYTES, "1777"),
    ["--remount-ro", "/dev"],
    tmpfs("/tmp", diskBytes, "1777"),
    tmpfs("/work", diskBytes, "0755"),
    ...mounts.map(readOnlyMount),
    ["--ro-bind", root.supervisorDir, SUPERVISOR_DIR_IN_GUEST],
    proxySocket === undefined ? [] : ["--ro-bind", proxySocket, PROXY_SOCKET_IN_GUEST],
    ["--remount-ro", "/"],
  ].flat();
}

function tmpfs(path: string, bytes: number, mode: string): string[] {
  return ["--size", String(bytes), "--perms", mode, "--tmpfs", path];
}

function systemDirectory(path: string): string[] {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return [];
  return stat.isSymbolicLink()
    ? ["--symlink", readlinkSync(path), path]
    : ["--ro-bind", path, path];
}

function readOnlyMount({ hostPath, guestPath = hostPath }: ReadOnlyMount): string[] {
  if (!guestPath.startsWith("/") || OWN_DIRECTORIES.test(guestPath))
    throw new AppError(
      "sandbox_error",
      `Nothing may be mounted at ${JSON.stringify(guestPath)} in a guest`,
    );
  return ["--ro-bind", hostPath, guestPath];
}
