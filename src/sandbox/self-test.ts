import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MIB } from "../jobs/limits.ts";
import { beforeDeadline, LATE } from "./deadline.ts";
import type { Guest, Sandbox } from "./sandbox.ts";

/*
 * Runs a real guest that tries to get out (self-test.pl). Isolation is what the kernel of this host does today, not what
 * the options asked for.
 */

export interface SelfTestPlan {
  readonly start: Sandbox["start"];
  /** Absolute path of perl, on the host and in the guest. */
  readonly perl: string;
  /** Where a file is put that guests would be allowed to read, could they see it. */
  readonly canaryDir: string;
}

const PROGRAM = readFileSync(fileURLToPath(new URL("./self-test.pl", import.meta.url)), "utf8");
/** unshare, mount, umount2 and keyctl, from asm/unistd_64.h and asm-generic/unistd.h. */
const SYSTEM_CALLS: Readonly<Record<string, readonly [number, number, number, number]>> = {
  x64: [272, 165, 166, 250],
  arm64: [97, 40, 39, 219],
};
/** What a guest is expected to see, when it asks for nothing. */
const VARIABLES = ["HOME", "LANG", "PATH", "TMPDIR"].join(",");
const DEADLINE_MS = 10_000;
const LIMITS = {
  memoryBytes: 256 * MIB,
  cpuSec: 10,
  processes: 16,
  diskBytes: 16 * MIB,
  outputBytes: MIB,
};

/** The problems found, as sentences; none when the guest was contained. Throws what starting a guest throws. */
export async function runSelfTest(plan: SelfTestPlan): Promise<string[]> {
  const marker = randomUUID();
  const canary = join(plan.canaryDir, `canary-${marker}`);
  mkdirSync(plan.canaryDir, { recursive: true });
  writeFileSync(canary, marker, { mode: 0o644 });
  const listener = createServer().listen(0, "127.0.0.1");
  try {
    await once(listener, "listening");
    const address = listener.address();
    if (address === null || typeof address === "string")
      throw new Error("The self-test's listener has no port");
    const numbers = SYSTEM_CALLS[process.arch] ?? [];
    const guest = await plan.start({
      argv: [
        [plan.perl, "-e", PROGRAM, canary, String(address.port), marker],
        numbers.map(String),
        [VARIABLES],
      ].flat(),
      env: {},
      stdin: new Uint8Array(0),
      inputs: [],
      mounts: [],
      limits: LIMITS,
      memoryLimit: "address_space",
      slot: 0,
    });
    return await judge(guest, marker);
  } finally {
    listener.close();
    rmSync(canary, { force: true });
  }
}

async function judge(guest: Guest, marker: string): Promise<string[]> {
  try {
    const work = Promise.all([
      new Response(guest.stdout).text(),
      new Response(guest.stderr).text(),
      guest.exited,
    ]);
    const result = await beforeDeadline(work, DEADLINE_MS);
    if (result === LATE) return ["The sandbox's self-test did not end."];
    const [stdout, stderr, exit] = result;
    const lines = stdout.split("\n").filter(Boolean);
    const problems = lines
      .filter((line) => line !== "done")
      .map((line) => `The sandbox leaks: in its self-test, ${line}.`);
    if (exit?.exitCode !== 0 || lines.at(-1) !== "done")
      problems.push(
        `The sandbox's self-test broke off: ${guest.failure() || stderr.trim() || JSON.stringify(exit)}`,
      );
    if (isRunning(marker)) problems.push("The sandbox leaks: a daemon outlived its program.");
    return problems;
  } finally {
    await guest.destroy();
  }
}

/** Whether any process of this host has `marker` among its arguments. */
function isRunning(marker: string): boolean {
  return readdirSync("/proc").some((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(marker);
    } catch {
      // It has ended since the listing.
      return false;
    }
  });
}
