import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { MIB } from "../src/jobs/limits.ts";
import { openFilledFile } from "../src/platform/pipe.ts";
import { createBubblewrap } from "../src/sandbox/bubblewrap.ts";
import { encodeBubblewrapArguments } from "../src/sandbox/bubblewrap-arguments.ts";
import { findCgroups, readCgroupView } from "../src/sandbox/cgroup/find-cgroups.ts";
import { createGuestCgroups } from "../src/sandbox/cgroup/guest-cgroups.ts";
import { createGuestRoot } from "../src/sandbox/guest-root.ts";
import type { GuestRequest } from "../src/sandbox/sandbox.ts";
import { seccompFilter } from "../src/sandbox/seccomp.ts";
import { measure, printTable } from "./measure.ts";

/*
 * What a cold sandbox costs as a whole: supervisor, limits, system call filter, cgroup, files in and out, everything taken
 * down again; against the bare bubblewrap with the same arguments and filter running the same Python. Alternating, in one
 * run, so that a busy machine is busy for both.
 *
 *   bun run bench/cold-sandbox.ts [ROUNDS]
 */

const rounds = Number(process.argv[2] ?? 200);
const PYTHON = "/usr/bin/python3";
const UID = 20_001;
const STATUS_FD = 4;
const SECCOMP_FD = 5;
const PROGRAM = 'print("hello")\n';
const WRITES = `${PROGRAM}open("out.txt", "w").write("made\\n")\n`;

const runtimeDir = mkdtempSync(join(tmpdir(), "job-runner-bench-"));
const root = createGuestRoot(runtimeDir);
const programPath = join(runtimeDir, "main.py");
writeFileSync(programPath, PROGRAM, { mode: 0o644 });
const { hierarchy, problem } = findCgroups(readCgroupView());
const isRoot = process.getuid?.() === 0;
const limits = {
  memoryBytes: 512 * MIB,
  cpuSec: 60,
  processes: 64,
  diskBytes: 256 * MIB,
  outputBytes: 16 * MIB,
};
const sandbox = createBubblewrap({
  uids: { first: UID, last: UID + 9 },
  runtimeDir,
  ...(hierarchy === null ? { cgroupProblem: problem } : { cgroups: createGuestCgroups(hierarchy) }),
});

function request(source: string): GuestRequest {
  const bytes = new TextEncoder().encode(source);
  return {
    argv: [PYTHON, "main.py"],
    env: {},
    stdin: new Uint8Array(0),
    inputs: [{ path: "main.py", sizeBytes: bytes.length, bytes: () => new Blob([bytes]).stream() }],
    mounts: [],
    limits,
    memoryLimit: "address_space",
    slot: 0,
  };
}

async function job(source: string, files: number): Promise<void> {
  const guest = await sandbox.start(request(source));
  const [stdout, exit] = await Promise.all([new Response(guest.stdout).text(), guest.exited]);
  let found = 0;
  for await (const { bytes } of guest.outputs()) {
    for await (const chunk of bytes) void chunk;
    found += 1;
  }
  await guest.destroy();
  if (stdout !== "hello\n" || exit?.exitCode !== 0 || found !== files)
    throw new Error(`The job went wrong: ${stdout} ${JSON.stringify(exit)} ${found} files`);
}

async function run(argv: readonly string[], fds: readonly number[] = []): Promise<void> {
  const child = Bun.spawn([...argv], {
    env: {},
    cwd: "/",
    stdio: ["ignore", "pipe", "inherit", ...fds],
    ...(isRoot ? { uid: UID, gid: UID } : {}),
  });
  const [stdout, exitCode] = await Promise.all([
    new Response(child.stdout as unknown as ReadableStream).text(),
    child.exited,
  ]);
  if (stdout !== "hello\n" || exitCode !== 0) throw new Error(`${argv[0]} went wrong: ${exitCode}`);
}

async function bareBubblewrap(): Promise<void> {
  const filter = seccompFilter(process.arch, { isMemoryCounted: true });
  if (filter === null) throw new Error("There is no filter for this machine");
  const args = openFilledFile(
    encodeBubblewrapArguments({
      root,
      mounts: [{ hostPath: programPath, guestPath: "/main.py" }],
      diskBytes: limits.diskBytes,
      statusFd: STATUS_FD,
      seccompFd: SECCOMP_FD,
    }),
  );
  const seccomp = openFilledFile(filter);
  const status = openSync("/dev/null", "w");
  try {
    await run(["/usr/bin/bwrap", "--args", "3", "--", PYTHON, "/main.py"], [args, status, seccomp]);
  } finally {
    for (const fd of [args, seccomp, status]) closeSync(fd);
  }
}

const results = await measure(rounds, {
  "bare python3": () => run([PYTHON, programPath]),
  "bare bwrap + python3": bareBubblewrap,
  "job without files": () => job(PROGRAM, 0),
  "job that writes a file": () => job(WRITES, 1),
  "job without files, after a job": () => job(PROGRAM, 0),
});
rmSync(runtimeDir, { recursive: true, force: true });
console.log(`${rounds} rounds, cgroup ${hierarchy?.version ?? "none"}, Bun ${Bun.version}`);
printTable(results, "bare bwrap + python3");
