import { closeSync, lstatSync, openSync, readlinkSync } from "node:fs";
import { extname } from "node:path";

import { MIB } from "../src/jobs/limits.ts";
import { openFilledFile } from "../src/platform/pipe.ts";
import type { GuestRoot } from "../src/sandbox/guest-root.ts";
import type { ReadOnlyMount } from "../src/sandbox/sandbox.ts";
import { seccompFilter } from "../src/sandbox/seccomp.ts";

/*
 * Programs without this service around them: what jobs are measured against.
 */

/** As root, bare programs run as a uid without privileges, like jobs, and one that no job has. */
export const BENCH_UID = 30_001;
export const IS_ROOT = process.getuid?.() === 0;

const BWRAP = "/usr/bin/bwrap";
/** The default of a job. */
export const DISK_BYTES = 256 * MIB;

/** Descriptors of bubblewrap's child; the first that Bun gives beside the standard ones is 3. */
const ARGS_FD = 3;
const STATUS_FD = 4;
const SECCOMP_FD = 5;

/** A program to run to its end; it is an error unless it prints `expected` and exits with 0. */
export interface BareRun {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly expected: string;
}

const identity = IS_ROOT ? { uid: BENCH_UID, gid: BENCH_UID } : {};

/**
 * Runs a program by itself: nothing else goes on in this process meanwhile. As fast as a loop in perl, and half a
 * millisecond faster than by a stream and a promise.
 */
export function runBareSync({ argv, cwd, expected }: BareRun): void {
  const { stdout, exitCode } = Bun.spawnSync([...argv], {
    env: {},
    cwd,
    stdio: ["ignore", "pipe", "inherit"],
    ...identity,
  });
  check(argv, { stdout: stdout.toString(), exitCode }, expected);
}

/** Runs a program beside others; `fds` are what it sees as 3, 4, ... */
async function runBare({ argv, cwd, expected }: BareRun, fds: readonly number[]): Promise<void> {
  const child = Bun.spawn([...argv], {
    env: {},
    cwd,
    stdio: ["ignore", "pipe", "inherit", ...fds],
    ...identity,
  });
  const [stdout, exitCode] = await Promise.all([
    new Response(child.stdout as unknown as ReadableStream).text(),
    child.exited,
  ]);
  check(argv, { stdout, exitCode }, expected);
}

function check(
  argv: readonly string[],
  { stdout, exitCode }: { readonly stdout: string; readonly exitCode: number | null },
  expected: string,
): void {
  if (stdout !== expected || exitCode !== 0)
    throw new Error(`${argv.join(" ")} ended with ${exitCode} and printed ${stdout}`);
}

/** A program for an interpreter, and where both are. */
export interface BareProgram {
  readonly binary: string;
  readonly mounts: readonly ReadOnlyMount[];
  readonly path: string;
  readonly expected: string;
}

/**
 * bubblewrap with a job's system call filter, but no supervisor, no cgroup, no files in or out. The filter is the one of a
 * job in a cgroup, on any machine: without cgroups it refuses a few calls more, which costs nothing where they are not made.
 */
export function bareBubblewrap(root: GuestRoot, program: BareProgram): () => Promise<void> {
  const filter = seccompFilter(process.arch, { isMemoryCounted: true });
  if (filter === null) throw new Error("There is no system call filter for this machine");
  const guestPath = `/main${extname(program.path)}`;
  const mounts = [...program.mounts, { hostPath: program.path, guestPath }];
  const options = Buffer.from(
    referenceArguments(root, mounts)
      .map((each) => `${each}\0`)
      .join(""),
  );
  const argv = [BWRAP, "--args", String(ARGS_FD), "--", program.binary, guestPath];
  return async () => {
    // Each run reads them from their beginning.
    const fds = [openFilledFile(options), openSync("/dev/null", "w"), openFilledFile(filter)];
    try {
      await runBare({ argv, cwd: "/", expected: program.expected }, fds);
    } finally {
      for (const fd of fds) closeSync(fd);
    }
  };
}

/**
 * What a sandbox needs at the least, and the yardstick: written down here and not taken from the service, whose own
 * arguments (bubblewrap-arguments.ts) may become more or fewer without it. Of `root` it has /etc alone.
 */
function referenceArguments(root: GuestRoot, mounts: readonly ReadOnlyMount[]): readonly string[] {
  return [
    ["--unshare-user", "--disable-userns", "--uid", "1000", "--gid", "1000"],
    ["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try", "--unshare-net"],
    ["--hostname", "sandbox", "--new-session", "--die-with-parent", "--as-pid-1"],
    ["--cap-drop", "ALL", "--clearenv"],
    ["--setenv", "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    ["--setenv", "HOME", "/work", "--setenv", "LANG", "C.UTF-8", "--setenv", "TMPDIR", "/tmp"],
    ["--ro-bind", "/usr", "/usr", ...["/bin", "/sbin", "/lib", "/lib64"].flatMap(partOfUsr)],
    ["--ro-bind", root.etc, "/etc", "--proc", "/proc", "--dev", "/dev"],
    ["--size", String(64 * MIB), "--perms", "1777", "--tmpfs", "/dev/shm", "--remount-ro", "/dev"],
    ["--size", String(DISK_BYTES), "--perms", "1777", "--tmpfs", "/tmp"],
    ["--size", String(DISK_BYTES), "--tmpfs", "/work"],
    mounts.flatMap(({ hostPath, guestPath = hostPath }) => ["--ro-bind", hostPath, guestPath]),
    ["--remount-ro", "/", "--chdir", "/work"],
    ["--seccomp", String(SECCOMP_FD), "--json-status-fd", String(STATUS_FD)],
  ].flat();
}

/** With a merged /usr a link into it, else a directory of its own, or nothing. */
function partOfUsr(path: string): readonly string[] {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return [];
  return stat.isSymbolicLink()
    ? ["--symlink", readlinkSync(path), path]
    : ["--ro-bind", path, path];
}
