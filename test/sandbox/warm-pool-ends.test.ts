import { afterAll, describe, expect, test } from "bun:test";

import { MIB } from "../../src/jobs/limits.ts";
import { processIdentity } from "../../src/platform/process-identity.ts";
import {
  openFds,
  processesWith,
  shellRequest,
  textInput,
  untilNoNewFds,
  untilDead,
} from "../support/guests.ts";
import { cgroupsOf, parentOf } from "../support/host-state.ts";
import {
  guestProcesses,
  interpreterOf,
  ofDisk,
  usePools,
  warmRequest,
  warmUp,
  type WatchedPool,
} from "../support/pools.ts";

/*
 * How a pool and what waits in it come to an end, in order or not.
 */

const UIDS = { first: 30_701, last: 30_800 };
const pools = usePools(UIDS);
afterAll(() => pools.close());
/** This process's, without the host's name: its cgroups have it in their names. */
const IDENTITY = processIdentity().split("/").slice(1).join("/");

describe("what went wrong while it waited", () => {
  test("one that could not be made is tried again, but not at once", async () => {
    const retryDelayMs = 300;
    let prepared = 0;
    const { run, waiting, errors, attemptsMs, starts } = pools.open({
      timing: { retryDelayMs, reviewIntervalMs: 20 },
      onPrepared: () => {
        if ((prepared += 1) === 1) throw new Error("not this time");
      },
    });
    while (errors.length === 0) expect(await run(ofDisk(1))).toBe("done\n");
    await waiting(1);
    expect(errors).toEqual(["Error: not this time"]);
    const [first = 0, second = 0] = attemptsMs;
    expect(second - first).toBeGreaterThanOrEqual(retryDelayMs);
    expect(starts[0]).toBe("nothing");
  });

  test.each([
    ["ends at once", ["/bin/false"], "has ended"],
    ["is not there", ["/nowhere"], "has ended: /nowhere cannot be run: No such file or directory"],
    ["says why it ends", ["/bin/sh", "-c", "echo no library >&2"], "has ended: no library"],
    ["never comes up", ["/bin/sh", "-c", "sleep 600; exit"], "did not come up"],
  ])(
    "an interpreter that %s is no job's trouble",
    async (_how, argv, problem) => {
      // Of this test alone: a name such as /bin/false may stand in the arguments of any process of the host.
      const marker = `useless-${process.pid}`;
      const interpreter = { argv: [...argv, marker], env: {} };
      // Enough for the sandbox without an interpreter, which must come up on a busy machine too.
      const timing = { readyMs: 1_000, retryDelayMs: 60_000 };
      const { run, errors, starts, waiting, pool } = pools.open({ timing });
      for (let job = 0; job < 2 || errors.length === 0; job += 1)
        expect(await run(warmRequest({ interpreter }))).toBe("cold\n");
      expect(errors).toEqual([`AppError: A sandbox that was to wait for a job ${problem}`]);
      // What can wait does.
      await waiting(1);
      expect(await run(warmRequest({ interpreter }))).toBe("cold\n");
      expect(starts.at(-1)).toBe("sandbox");
      expect(starts).not.toContain("interpreter");
      await pool.close();
      expect(processesWith(marker)).toEqual([]);
    },
    20_000,
  );

  test("an interpreter that was killed is started anew with the job", async () => {
    const marker = `killed-${process.pid}`;
    const interpreter = interpreterOf(marker);
    const watched = pools.open();
    await warmUp(watched, warmRequest({ interpreter }));
    for (const pid of processesWith(marker)) {
      process.kill(pid, "SIGKILL");
      await untilDead(pid);
    }
    expect(await watched.run(warmRequest({ interpreter }))).toBe("cold\n");
    await watched.full();
    expect(await watched.run(warmRequest({ interpreter }))).toContain("4 /bin/sh");
    expect(watched.errors).toEqual([]);
  });

  test("one that breaks as it gets its job is reported, and the job started anew", async () => {
    const marker = `broken-${process.pid}`;
    const request = warmRequest({ interpreter: interpreterOf(marker) });
    let isToBreak = false;
    const watched = pools.open({
      beforeRun() {
        if (isToBreak)
          for (const pid of processesWith(marker)) process.kill(parentOf(pid), "SIGKILL");
        isToBreak = false;
      },
    });
    await warmUp(watched, request);
    isToBreak = true;
    expect(await watched.run(request)).toBe("cold\n");
    expect(watched.errors).toEqual(["AppError: The sandbox ended before the program started"]);
    expect(watched.starts).toEqual(["nothing", "sandbox", "nothing"]);
  });

  test("what is a job's own fault is its error at once, and is not tried again", async () => {
    const { pool, run, waiting, errors, starts, preparations } = pools.open({ slots: 1 });
    await run(ofDisk(1));
    await waiting(1);
    // The slot is taken, so that nothing is made ahead.
    const busy = await pool.start(shellRequest("exec sleep 600"));
    const before = preparations();
    const inputs = [textInput("big", "x".repeat(2 * MIB))];
    await expect(pool.start({ ...ofDisk(1), inputs })).rejects.toThrow("do not fit");
    expect([preparations(), pool.waiting().count]).toEqual([before, 0]);
    expect([errors, starts]).toEqual([[], ["nothing", "nothing"]]);
    await busy.destroy();
  });

  test("a sandbox that was killed waits no longer, and is replaced", async () => {
    const marker = `supervisor-${process.pid}`;
    const request = warmRequest({ interpreter: interpreterOf(marker) });
    const watched = pools.open();
    await warmUp(watched, request);
    for (const pid of processesWith(marker)) process.kill(parentOf(pid), "SIGKILL");
    await watched.waiting(1);
    expect(watched.pool.waiting().wanted).toBe(2);
    expect(await watched.run(request)).toBe("cold\n");
    await watched.full();
    expect(watched.starts).toEqual(["nothing", "sandbox", "sandbox"]);
    expect(await watched.run(request)).toContain("4 /bin/sh");
  });
});

describe("once it is closed", () => {
  test("nothing is left, nothing more is started, and jobs run as ever", async () => {
    // What Bun opens for itself at its first children stays open.
    await pools.open().run(shellRequest("exit 0"));
    await pools.closeAll();
    expect(cgroupsOf(IDENTITY)).toEqual([]);
    const before = openFds();
    const watched = pools.open();
    const marker = `closed-${process.pid}`;
    const request = warmRequest({ interpreter: interpreterOf(marker) });
    await warmUp(watched, request);
    await watched.run(ofDisk(1));
    expect(processesWith(marker)).not.toEqual([]);
    await watched.pool.close();
    expect(watched.pool.waiting()).toEqual({ count: 0, bytes: 0, wanted: 0 });
    expect([processesWith(marker), guestProcesses(UIDS)]).toEqual([[], []]);
    expect(cgroupsOf(IDENTITY)).toEqual([]);
    const attempts = watched.attemptsMs.length;
    for (let job = 0; job < 3; job += 1) expect(await watched.run(request)).toBe("cold\n");
    expect(watched.starts.slice(-3)).toEqual(["nothing", "nothing", "nothing"]);
    expect(watched.attemptsMs).toHaveLength(attempts);
    expect(await untilNoNewFds(before)).toEqual([]);
  });

  test("also what nobody asked for any more by the time that it was set up is gone", async () => {
    await pools.closeAll();
    const timing = { quietAfterEndMs: 0, reviewIntervalMs: 1, forgetMs: 1 };
    const { pool, run, attemptsMs } = pools.open({ timing });
    while (attemptsMs.length === 0) await run(ofDisk(1));
    await pool.close();
    expect(guestProcesses(UIDS)).toEqual([]);
  });

  test("also what was being set up is gone", async () => {
    await pools.closeAll();
    const closed: Promise<void>[] = [];
    const { pool, run }: WatchedPool = pools.open({
      onPrepared: () => void closed.push(pool.close()),
    });
    while (closed.length === 0) await run(ofDisk(1));
    await Promise.all(closed);
    expect([pool.waiting().count, guestProcesses(UIDS)]).toEqual([0, []]);
    expect(cgroupsOf(IDENTITY)).toEqual([]);
  });
});
