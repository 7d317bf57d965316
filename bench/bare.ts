import { closeSync, openSync } from "node:fs";
import { extname } from "node:path";

import { MIB } from "../src/jobs/limits.ts";
import { openFilledFile } from "../src/platform/pipe.ts";
import { encodeBubblewrapArguments } from "../src/sandbox/bubblewrap-arguments.ts";
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

/** bubblewrap with the arguments and the system call filter of a job, but no supervisor, no cgroup, no files in or out. */
export function bareBubblewrap(root: GuestRoot, program: BareProgram): () => Promise<void> {
  const filter = seccompFilter(process.arch, { isMemoryCounted: true });
  if (filter === null) throw new Error("There is no system call filter for this machine");
  const guestPath = `/main${extname(program.path)}`;
  const options = encodeBubblewrapArguments({
    root,
    mounts: [...program.mounts, { hostPath: program.path, guestPath }],
    diskBytes: DISK_BYTES,
    statusFd: STATUS_FD,
    seccompFd: SECCOMP_FD,
  });
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
