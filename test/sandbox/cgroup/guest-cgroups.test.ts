import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";

import { MIB } from "../../../src/jobs/limits.ts";
import { processIdentity } from "../../../src/platform/process-identity.ts";
import type {
  CgroupHierarchy,
  GuestCgroup,
  GuestCgroups,
} from "../../../src/sandbox/cgroup/cgroup.ts";
import { cgroupV2 } from "../../../src/sandbox/cgroup/cgroup-v2.ts";
import { createGuestCgroups, sweepCgroups } from "../../../src/sandbox/cgroup/guest-cgroups.ts";
import { hasCgroups, hierarchy as found, openCgroups } from "../../support/cgroups.ts";
import { Printed } from "../../support/guests.ts";

/* On the real cgroups of this machine. */

const LIMITS = { memoryBytes: 64 * MIB, processes: 8, cpuPercent: 50 };
const UNIFIED = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].find((path) =>
  existsSync(join(path, "cgroup.controllers")),
);

function createLimited(cgroups: GuestCgroups): GuestCgroup {
  const cgroup = cgroups.create();
  cgroup.setLimits(LIMITS);
  return cgroup;
}

/** A shell that is in the cgroup before it does anything. */
async function shellIn(cgroup: GuestCgroup, script: string) {
  const child = Bun.spawn(["/bin/sh", "-c", `read go; ${script}`], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "ignore",
  });
  await cgroup.join(child.pid);
  await child.stdin.write("go\n");
  await child.stdin.end();
  return child;
}

/** v2's own ways to kill, without its controllers, which this machine may have bound to v1. */
function bareUnified(parent: string): CgroupHierarchy {
  const none = {
    cpuMs: 0,
    peakMemoryBytes: null,
    currentMemoryBytes: 0,
    oomKills: 0,
    refusedForks: 0,
  };
  return {
    ...cgroupV2(parent),
    setLimits() {},
    counts: () => none,
  };
}

describe.if(hasCgroups())("limits and counts", () => {
  test("memory, peak and the OOM verdict", async () => {
    const cgroup = createLimited(openCgroups());
    const child = await shellIn(cgroup, `exec perl -e 'my $x = "x" x 30_000_000; exit 0'`);
    expect(await child.exited).toBe(0);
    const before = cgroup.counts();
    expect(before.oomKills).toBe(0);
    expect(before.peakMemoryBytes).toBeWithin(28 * MIB, 64 * MIB + 1);
    const bomb = await shellIn(cgroup, `exec perl -e 'my @x; push @x, "x" x 1e6 while 1'`);
    await bomb.exited;
    expect(bomb.signalCode).toBe("SIGKILL");
    expect(cgroup.counts().oomKills).toBe(1);
    await cgroup.remove();
  });

  test("processes, CPU time and its cap", async () => {
    const cgroup = createLimited(openCgroups());
    const child = await shellIn(cgroup, "for i in 1 2 3 4 5 6 7 8 9; do sleep 600 & done");
    expect(await child.exited).not.toBe(0);
    expect(cgroup.counts().refusedForks).toBeGreaterThan(0);
    const startMs = performance.now();
    const spin = await shellIn(
      cgroup,
      `exec perl -e 'my $n = times; 1 while (times)[0] - $n < 0.3'`,
    );
    await spin.exited;
    const wallMs = performance.now() - startMs;
    expect(cgroup.counts().cpuMs).toBeGreaterThan(280);
    // Half of one core: it takes at least as long again, less one period of the scheduler.
    expect(wallMs).toBeGreaterThan(400);
    await cgroup.remove();
  });
});

describe.if(hasCgroups())("removal", () => {
  test("kills what is left, and nothing remains", async () => {
    const cgroup = createLimited(openCgroups());
    const child = await shellIn(cgroup, "setsid sleep 600 & echo up; sleep 600");
    await new Printed(child.stdout).until("up");
    await Promise.all([cgroup.remove(), child.exited]);
    expect(child.signalCode).toBe("SIGKILL");
    await cgroup.remove();
  });

  test("version 2 kills all at once", async () => {
    expect(UNIFIED).toBeDefined();
    const parent = join(UNIFIED!, "job-runner-test");
    mkdirSync(parent, { recursive: true });
    const cgroup = createGuestCgroups(bareUnified(parent)).create();
    const child = await shellIn(cgroup, "setsid sleep 600 & echo up; sleep 600");
    await new Printed(child.stdout).until("up");
    await Promise.all([cgroup.remove(), child.exited]);
    expect(readdirSync(parent).filter((name) => name.includes("@"))).toEqual([]);
    rmdirSync(parent);
  });
});

describe.if(hasCgroups())("what a killed service left behind", () => {
  let parents: readonly string[];
  beforeAll(() => {
    parents = found?.parents ?? [];
  });
  const names = () => parents.flatMap((parent) => readdirSync(parent));
  const ownPrefix = `${processIdentity().replaceAll("/", "@")}@`;
  const dead = `${processIdentity().split("/").slice(0, 3).join("@")}@999999@1@7`;
  afterAll(() => expect(names()).not.toContain(dead));

  test("is killed and removed; what a living one has stays", async () => {
    for (const parent of parents) mkdirSync(join(parent, dead));
    const sleeper = Bun.spawn(["sleep", "600"]);
    for (const parent of parents)
      await Bun.write(join(parent, dead, "cgroup.procs"), String(sleeper.pid));
    const living = createLimited(openCgroups());
    try {
      // Not all that are there: the machine may have those of others that were killed, which go as well.
      const own = () => names().filter((name) => name.startsWith(ownPrefix));
      const before = own();
      expect(before).toHaveLength(parents.length);
      await sweepCgroups(found!);
      await sleeper.exited;
      expect(sleeper.signalCode).toBe("SIGKILL");
      expect(names()).not.toContain(dead);
      expect(own()).toEqual(before);
    } finally {
      await living.remove();
    }
  });
});
