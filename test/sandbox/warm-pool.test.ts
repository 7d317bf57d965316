import { afterAll, describe, expect, test } from "bun:test";

import { MIB } from "../../src/jobs/limits.ts";
import type { GuestRequest } from "../../src/sandbox/sandbox.ts";
import { sandboxContract } from "../contract/sandbox-contract.ts";
import {
  DEFAULT_LIMITS,
  openFds,
  Printed,
  processesWith,
  shellRequest,
  untilNoNewFds,
  untilNoProcessWith,
} from "../support/guests.ts";
import { cgroupsOf, identityOf, parentOf } from "../support/host-state.ts";
import {
  guestProcesses,
  interpreterOf,
  ofDisk,
  usePools,
  type WatchedPool,
} from "../support/pools.ts";

const UIDS = { first: 30_601, last: 30_700 };
const pools = usePools(UIDS);
afterAll(() => pools.close());

const warmRequest = (overrides: Partial<GuestRequest> = {}) =>
  shellRequest("echo cold", { interpreter: interpreterOf(), ...overrides });

/** An interpreter waits for a name that has come up twice. */
async function warmUp({ run, full }: WatchedPool, request = warmRequest()): Promise<void> {
  for (let job = 0; job < 2; job += 1) {
    expect(await run(request)).toBe("cold\n");
    await full();
  }
}

sandboxContract("a pool over bubblewrap", {
  open: async () => pools.open().pool,
  close: async () => undefined,
});

describe("what waits", () => {
  test("a sandbox after the first job, an interpreter after the second of its name", async () => {
    const { pool, starts, waiting, run } = pools.open();
    expect(await run(warmRequest())).toBe("cold\n");
    await waiting(1);
    expect(await run(warmRequest())).toBe("cold\n");
    await waiting(2);
    expect(await run(warmRequest())).toMatch(/^0\.\d+ 4 \/bin\/sh -c echo cold sh\n$/);
    expect(starts).toEqual(["nothing", "sandbox", "interpreter"]);
    await waiting(2);
    expect(pool.waiting().bytes).toBeWithin(MIB, 40 * MIB);
  });

  test("is for jobs that are alike in what a sandbox is made of", async () => {
    const { starts, waiting, run } = pools.open();
    await run(ofDisk(2));
    await waiting(1);
    await run(ofDisk(1));
    await run(ofDisk(2));
    expect(starts).toEqual(["nothing", "nothing", "sandbox"]);
  });

  test("holds to the limits of the job that it gets", async () => {
    const { starts, waiting, run } = pools.open();
    const limits = { ...DEFAULT_LIMITS, memoryBytes: 32 * MIB };
    const takes = (bytes: number) =>
      shellRequest(`perl -e 'my $x = "x" x ${bytes}; print "alive"'`, { limits });
    expect(await run(takes(1000))).toBe("alive");
    await waiting(1);
    expect(await run(takes(100_000_000))).toBe("");
    await waiting(1);
    expect(await run(takes(1000))).toBe("alive");
    expect(starts).toEqual(["nothing", "sandbox", "sandbox"]);
  });

  test("is used by one job, however many come at once", async () => {
    const watched = pools.open({ slots: 4 });
    await warmUp(watched);
    const printed: string[] = [];
    for (let round = 0; round < 3; round += 1) {
      printed.push(
        ...(await Promise.all(Array.from({ length: 4 }, () => watched.run(warmRequest())))),
      );
      await watched.full();
    }
    const fromInterpreters = printed.filter((each) => each !== "cold\n");
    expect(new Set(fromInterpreters).size).toBe(fromInterpreters.length);
    const count = (on: string) => watched.starts.filter((each) => each === on).length;
    expect(count("interpreter")).toBe(fromInterpreters.length);
    // One waited in the first round; what it lacked was there in the next.
    expect(fromInterpreters.length).toBeGreaterThanOrEqual(1 + 2 + 3);
    expect(count("nothing") + count("sandbox") + count("interpreter")).toBe(2 + 12);
  });
});

describe("how many wait", () => {
  test("as many as came at once, and no more than there are slots", async () => {
    const { run, full, pool } = pools.open({ slots: 3 });
    for (const atOnce of [1, 2, 5, 5]) {
      await Promise.all(Array.from({ length: atOnce }, () => run(ofDisk(1))));
      await full();
    }
    expect(pool.waiting().count).toBe(3);
  });

  test("fewer once nobody needs them, and none once nobody asks", async () => {
    const timing = { reviewIntervalMs: 20, forgetMs: 1_000 };
    const { run, waiting, pool } = pools.open({ slots: 3, timing });
    await Promise.all([run(ofDisk(1)), run(ofDisk(1)), run(ofDisk(1))]);
    while (pool.waiting().wanted > 1) await Bun.sleep(5);
    expect(pool.waiting().wanted).toBe(1);
    await waiting(0);
    expect(pool.waiting()).toEqual({ count: 0, bytes: 0, wanted: 0 });
  });

  test("none is started while every slot is busy", async () => {
    const watched = pools.open({ slots: 1, timing: { refillDelayMs: 0 } });
    const busy = await watched.pool.start(shellRequest("echo up; exec sleep 600"));
    await new Printed(busy.stdout).until("up\n");
    // Each takes far longer than the pool's delay, and has it look.
    for (let job = 0; job < 2; job += 1) await watched.run(shellRequest("echo beside"));
    expect([watched.attemptsMs.length, watched.pool.waiting().wanted]).toEqual([0, 1]);
    busy.stop();
    await watched.waiting(1);
    await busy.destroy();
  });

  test("no more than may, in favour of what was asked for last", async () => {
    const { run, full, starts, mostWaiting } = pools.open({ maxWaiting: 2 });
    for (const mb of [1, 2, 3]) {
      await run(ofDisk(mb));
      await full();
    }
    for (const mb of [3, 2, 1]) await run(ofDisk(mb));
    expect(starts.slice(3)).toEqual(["sandbox", "sandbox", "nothing"]);
    expect(mostWaiting()).toBe(2);
  });

  test("none is made in place of another before that is gone", async () => {
    const { promise: beforeDestroy, resolve: letGo } = Promise.withResolvers<void>();
    const timing = { refillDelayMs: 0 };
    const { run, waiting, attemptsMs } = pools.open({ maxWaiting: 1, beforeDestroy, timing });
    await run(ofDisk(1));
    await waiting(1);
    for (let job = 0; job < 3; job += 1) await run(ofDisk(2));
    expect(attemptsMs).toHaveLength(1);
    letGo();
    await waiting(1);
    expect(attemptsMs).toHaveLength(2);
  });

  test("no more than there is memory for, in favour of what was asked for last", async () => {
    const { run, full, starts, pool } = pools.open({ maxBytes: 25 * MIB, bytesEach: 10 * MIB });
    for (const mb of [1, 2, 1, 3]) {
      await run(ofDisk(mb));
      await full();
    }
    expect(pool.waiting().bytes).toBe(20 * MIB);
    for (const mb of [3, 1, 2]) await run(ofDisk(mb));
    expect(starts.slice(4)).toEqual(["sandbox", "sandbox", "nothing"]);
  });

  test("none where there is memory for none", async () => {
    const timing = { refillDelayMs: 0 };
    const { run, starts, attemptsMs } = pools.open({ maxBytes: 1, timing });
    for (let job = 0; job < 3; job += 1) await run(ofDisk(1));
    expect([starts, attemptsMs]).toEqual([["nothing", "nothing", "nothing"], []]);
  });

  test("jobs always find a uid", async () => {
    // Two for the jobs, and one for what waits.
    const uids = { first: 30_301, last: 30_303 };
    const { run, errors, starts } = pools.open({ uids, maxWaiting: 1 });
    for (let round = 0; round < 8; round += 1) {
      const [disk, other] = [ofDisk(1 + (round % 3)), warmRequest()];
      for (const printed of await Promise.all([run(disk), run(other)]))
        expect(printed).toMatch(/done|cold/);
    }
    expect(errors).toEqual([]);
    expect(starts).toHaveLength(16);
  });
});

describe("what went wrong while it waited", () => {
  test("one that could not be made is tried again, but not at once", async () => {
    const retryDelayMs = 300;
    let isBroken = true;
    const { run, waiting, errors, attemptsMs, starts } = pools.open({
      timing: { retryDelayMs, reviewIntervalMs: 20 },
      onPrepared: () => {
        if (isBroken) throw new Error("not this time");
      },
    });
    while (errors.length === 0) expect(await run(ofDisk(1))).toBe("done\n");
    isBroken = false;
    await waiting(1);
    expect(errors).toEqual(["Error: not this time"]);
    const [first = 0, second = 0] = attemptsMs;
    expect([attemptsMs.length, second - first]).toEqual([2, expect.any(Number)]);
    expect(second - first).toBeGreaterThanOrEqual(retryDelayMs);
    expect(new Set(starts)).toEqual(new Set(["nothing"]));
  });

  test.each([
    ["ends at once", ["/bin/false"], "has ended"],
    ["is not there", ["/nowhere"], "has ended"],
    ["never comes up", ["/bin/sleep", "600.25"], "did not come up"],
  ])("an interpreter that %s is no job's trouble", async (_how, argv, problem) => {
    const interpreter = { argv, env: {} };
    const timing = { readyMs: 200, retryDelayMs: 60_000 };
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
    expect(processesWith(argv.join("\0"))).toEqual([]);
  });

  test("an interpreter that was killed is started anew with the job", async () => {
    const marker = `killed-${process.pid}`;
    const interpreter = interpreterOf(marker);
    const watched = pools.open();
    await warmUp(watched, warmRequest({ interpreter }));
    for (const pid of processesWith(marker)) process.kill(pid, "SIGKILL");
    await untilNoProcessWith(marker);
    expect(await watched.run(warmRequest({ interpreter }))).toBe("cold\n");
    await watched.full();
    expect(await watched.run(warmRequest({ interpreter }))).toContain("4 /bin/sh");
    expect(watched.errors).toEqual([]);
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
    await watched.waiting(2);
    expect(watched.starts).toEqual(["nothing", "sandbox", "sandbox"]);
    expect(await watched.run(request)).toContain("4 /bin/sh");
  });
});

describe("once it is closed", () => {
  test("nothing is left, nothing more is started, and jobs run as ever", async () => {
    // What Bun opens for itself at its first children stays open.
    await pools.open().run(shellRequest("exit 0"));
    await pools.closeAll();
    expect(cgroupsOf(identityOf(process.pid))).toEqual([]);
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
    expect(cgroupsOf(identityOf(process.pid))).toEqual([]);
    const attempts = watched.attemptsMs.length;
    for (let job = 0; job < 3; job += 1) expect(await watched.run(request)).toBe("cold\n");
    expect(watched.starts.slice(-3)).toEqual(["nothing", "nothing", "nothing"]);
    expect(watched.attemptsMs).toHaveLength(attempts);
    expect(await untilNoNewFds(before)).toEqual([]);
  });

  test("also what nobody asked for any more by the time that it was set up is gone", async () => {
    await pools.closeAll();
    const timing = { refillDelayMs: 0, reviewIntervalMs: 1, forgetMs: 1 };
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
    expect(cgroupsOf(identityOf(process.pid))).toEqual([]);
  });
});
