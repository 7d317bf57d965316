import { afterAll, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { spawnProcess } from "../../src/platform/spawn.ts";
import { createGuestRoot, SUPERVISOR } from "../../src/sandbox/guest-root.ts";
import { runSelfTest } from "../../src/sandbox/self-test.ts";
import { prepareSupervised } from "../../src/sandbox/supervised-guest.ts";
import { createTreeMeter } from "../../src/sandbox/tree-meter.ts";
import type { GuestRequest } from "../../src/sandbox/sandbox.ts";

const directory = mkdtempSync(join(tmpdir(), "job-runner-selftest-"));
chmodSync(directory, 0o755);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** The supervisor with no wall around it, but never as root: the self-test tries things that would work then. */
async function startUnprivileged(request: GuestRequest) {
  const uid = process.getuid?.() === 0 ? 30_999 : undefined;
  const { supervisorDir } = createGuestRoot(join(directory, "root"));
  const supervisor = join(supervisorDir, SUPERVISOR);
  const home = join(directory, "home");
  mkdirSync(home);
  if (uid !== undefined) chownSync(home, uid, uid);
  const prepared = await prepareSupervised({
    baseEnv: {},
    makeMeter: createTreeMeter,
    ...(uid === undefined ? {} : { uid }),
    launch(fds) {
      const child = spawnProcess({
        argv: ["/usr/bin/perl", supervisor, process.arch, "3", "4", "5", home, home],
        env: {},
        cwd: "/",
        extraFds: [fds.result, fds.stdout, fds.stderr],
        ...(uid === undefined ? {} : { uid, gid: uid }),
      });
      return {
        child,
        supervisorPid: Promise.resolve(child.pid),
        takeDown: async () => void (await child.exited),
      };
    },
  });
  return prepared.run(request);
}

/** Where there is no wall, the checks must fire; else the self-test proves nothing. */
test("a guest without a wall fails it, with a sentence for each hole, and harms nothing", async () => {
  const plan = { start: startUnprivileged, perl: "/usr/bin/perl", canaryDir: directory };
  const problems = (await runSelfTest(plan)).join("\n");
  for (const hole of [
    "sees the host's files",
    "sees variables",
    "reaches the host's network",
    "can gain privileges",
    "can reach the kernel's keyrings",
    "can type into a terminal",
  ])
    expect(problems).toContain(hole);
  // A container's filter is one too.
  const filtered = /^Seccomp:\s*2$/m.test(readFileSync("/proc/self/status", "utf8"));
  expect(problems.includes("system calls are not filtered")).toBe(!filtered);
  expect(readdirSync(directory).toSorted()).toEqual(["home", "root"]);
});

test("a guest that cannot start is a rejection, and the canary is gone", async () => {
  const start = () => Promise.reject(new Error("no sandbox today"));
  const run = runSelfTest({ start, perl: "/usr/bin/perl", canaryDir: join(directory, "other") });
  expect(await run.catch(String)).toContain("no sandbox today");
  expect(readdirSync(join(directory, "other"))).toEqual([]);
});
