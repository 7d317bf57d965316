import { afterAll, describe, expect, test } from "bun:test";

import { MIB } from "../../src/jobs/limits.ts";
import { sandboxContract } from "../contract/sandbox-contract.ts";
import { DEFAULT_LIMITS, Printed, shellRequest } from "../support/guests.ts";
import { interpreterOf, ofDisk, usePools, warmRequest, warmUp } from "../support/pools.ts";

const pools = usePools({ first: 30_601, last: 30_700 });
afterAll(() => pools.close());

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

  test("costs the job that it gets no CPU time", async () => {
    const { argv, env } = interpreterOf();
    const busy = `1 while times < 0.3; ${argv[2]}`;
    const interpreter = { argv: [argv[0] ?? "", "-e", busy], env };
    const watched = pools.open();
    await warmUp(watched, warmRequest({ interpreter }));
    const guest = await watched.pool.start(warmRequest({ interpreter }));
    const exit = await guest.exited;
    await guest.destroy();
    expect(watched.starts.at(-1)).toBe("interpreter");
    expect(exit).toMatchObject({ exitCode: 7 });
    expect(exit?.cpuMs).toBeLessThan(250);
    // Its CPU time is other work's too.
  }, 20_000);

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

  test("no more for a job that found one", async () => {
    const { pool, run, full, starts } = pools.open();
    for (const marker of ["one", "two", "three"]) {
      await run(warmRequest({ interpreter: interpreterOf(marker) }));
      await full();
    }
    expect(starts).toEqual(["nothing", "sandbox", "sandbox"]);
    expect(pool.waiting()).toMatchObject({ count: 1, wanted: 1 });
  });

  test("fewer once nobody needs them, and one stays", async () => {
    const timing = { reviewIntervalMs: 20 };
    const { run, wanted, waiting, pool } = pools.open({ slots: 3, timing });
    const jobs = [run(ofDisk(1)), run(ofDisk(1)), run(ofDisk(1))];
    expect(pool.waiting().wanted).toBe(3);
    await Promise.all(jobs);
    await wanted(1);
    await waiting(1);
  });

  test("none once nobody asks", async () => {
    const timing = { reviewIntervalMs: 20, forgetMs: 300 };
    const { run, wanted, waiting, pool } = pools.open({ timing });
    await run(ofDisk(1));
    await wanted(0);
    await waiting(0);
    expect(pool.waiting()).toEqual({ count: 0, bytes: 0, wanted: 0 });
  });

  test("none is started while every slot is busy", async () => {
    const watched = pools.open({ slots: 1, timing: { quietAfterEndMs: 0 } });
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
    const timing = { quietAfterEndMs: 0 };
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

  test.each([[[1, 2, 3]], [[3, 1, 2]]])(
    "what takes more than there is memory for waits not at all, and nothing gives way to it: %p",
    async (order) => {
      const { run, waiting, starts, attemptsMs, pool } = pools.open({
        maxBytes: 25 * MIB,
        bytesEach: ({ diskBytes }) => (diskBytes === 3 * MIB ? 30 : 10) * MIB,
      });
      let small = 0;
      for (const mb of order) {
        await run(ofDisk(mb));
        if (mb < 3) small += 1;
        else while (attemptsMs.length === small) await Bun.sleep(5);
        await waiting(small);
      }
      // By now it is known what it takes: it is not tried again.
      const attempts = attemptsMs.length;
      await run(ofDisk(3));
      await run(ofDisk(1));
      await waiting(2);
      expect(attemptsMs).toHaveLength(attempts + 1);
      expect(pool.waiting()).toEqual({ count: 2, bytes: 20 * MIB, wanted: 1 + 1 + 2 });
      for (const mb of [3, 2, 1]) await run(ofDisk(mb));
      expect(starts.slice(-3)).toEqual(["nothing", "sandbox", "sandbox"]);
    },
  );

  test("no more than there is memory for where nobody can tell what one takes", async () => {
    const watched = pools.open({ slots: 3, maxBytes: 20 * MIB, bytesEach: 0 });
    for (let round = 0; round < 3; round += 1) {
      await Promise.all([1, 2, 3].map(() => watched.run(ofDisk(1))));
      await watched.waiting(2);
    }
    expect(watched.pool.waiting()).toEqual({ count: 2, bytes: 16 * MIB, wanted: 3 });
    expect(watched.mostWaiting()).toBe(2);
  });

  test("none where there is memory for none", async () => {
    const timing = { quietAfterEndMs: 0 };
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
