import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { MIB } from "../src/jobs/limits.ts";
import { createBubblewrap } from "../src/sandbox/bubblewrap.ts";
import { findCgroups, readCgroupView } from "../src/sandbox/cgroup/find-cgroups.ts";
import { createGuestCgroups } from "../src/sandbox/cgroup/guest-cgroups.ts";
import { createGuestRoot } from "../src/sandbox/guest-root.ts";
import type { GuestRequest } from "../src/sandbox/sandbox.ts";
import { BENCH_UID, bareBubblewrap, DISK_BYTES, runBareSync } from "./bare.ts";
import { measure, quantile, type Results, timed } from "./measure.ts";

/*
 * What a cold sandbox costs as a whole: supervisor, limits, system call filter, cgroup, files in and out, everything taken
 * down again; against the bare bubblewrap with the same filter running the same Python. Alternating, in one
 * run, so that a busy machine is busy for both.
 *
 *   bun run bench/cold-sandbox.ts [ROUNDS]
 */

const rounds = Number(process.argv[2] ?? 200);
const PYTHON = "/usr/bin/python3";
const PROGRAM = 'print("hello")\n';
const PRINTED = "hello\n";
const WRITES = `${PROGRAM}open("out.txt", "w").write("made\\n")\n`;

const runtimeDir = mkdtempSync(join(tmpdir(), "job-runner-bench-"));
const programPath = join(runtimeDir, "main.py");
writeFileSync(programPath, PROGRAM, { mode: 0o644 });
const { hierarchy, problem } = findCgroups(readCgroupView());
const limits = {
  memoryBytes: 512 * MIB,
  cpuSec: 60,
  processes: 64,
  diskBytes: DISK_BYTES,
  outputBytes: 16 * MIB,
};
const sandbox = createBubblewrap({
  uids: { first: BENCH_UID, last: BENCH_UID + 99 },
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
  if (stdout !== PRINTED || exit?.exitCode !== 0 || found !== files)
    throw new Error(`The job went wrong: ${stdout} ${JSON.stringify(exit)} ${found} files`);
}

/** p50 and p90 of each, and p50 as a ratio to that of `yardstick`. */
function printResults(results: Results, yardstick: string): void {
  const base = quantile(results[yardstick] ?? [], 0.5);
  console.log("| what | p50 ms | p90 ms | ratio |\n| --- | --- | --- | --- |");
  for (const [name, values] of Object.entries(results)) {
    const [p50, p90] = [quantile(values, 0.5), quantile(values, 0.9)];
    console.log(`| ${name} | ${p50.toFixed(2)} | ${p90.toFixed(2)} | ${(p50 / base).toFixed(2)} |`);
  }
}

const python = { binary: PYTHON, mounts: [], path: programPath, expected: PRINTED };
const results = await measure({ rounds }, [
  timed("bare python3", () =>
    runBareSync({ argv: [PYTHON, programPath], cwd: "/", expected: PRINTED }),
  ),
  timed("bare bwrap + python3", bareBubblewrap(createGuestRoot(runtimeDir), python)),
  timed("job without files", () => job(PROGRAM, 0)),
  timed("job that writes a file", () => job(WRITES, 1)),
  timed("job without files, after a job", () => job(PROGRAM, 0)),
]);
rmSync(runtimeDir, { recursive: true, force: true });
console.log(`${rounds} rounds, cgroup ${hierarchy?.version ?? "none"}, Bun ${Bun.version}`);
printResults(results, "bare bwrap + python3");
