import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { MIB } from "../../src/jobs/limits.ts";
import { createBubblewrap } from "../../src/sandbox/bubblewrap.ts";
import type { GuestRequest } from "../../src/sandbox/sandbox.ts";
import {
  createWarmPool,
  type WarmPool,
  type WarmPoolOptions,
} from "../../src/sandbox/warm-pool.ts";
import { sandboxContract } from "../contract/sandbox-contract.ts";
import { hasCgroups, openCgroups } from "../support/cgroups.ts";
import { DEFAULT_LIMITS, processesWith, runGuest, shellRequest } from "../support/guests.ts";

const runtimeDir = mkdtempSync(join(tmpdir(), "job-runner-pool-"));
const sandbox = createBubblewrap({
  uids: { first: 30_201, last: 30_300 },
  runtimeDir,
  ...(hasCgroups() ? { cgroups: openCgroups() } : {}),
});
const pools: WarmPool[] = [];
afterAll(async () => {
  await Promise.all(pools.map((pool) => pool.close()));
  rmSync(runtimeDir, { recursive: true, force: true });
});

interface Watched {
  readonly pool: WarmPool;
  readonly starts: string[];
  readonly errors: unknown[];
  /** Resolves once so many wait. */
  waiting(count: number): Promise<void>;
}

function openPool(options: Partial<WarmPoolOptions> = {}): Watched {
  const starts: string[] = [];
  const errors: unknown[] = [];
  const pool = createWarmPool(sandbox, {
    maxBytes: 256 * MIB,
    maxWaiting: 10,
    slots: 2,
    onStart: (on) => starts.push(on),
    onError: (error) => errors.push(error),
    ...options,
  });
  pools.push(pool);
  return {
    pool,
    starts,
    errors,
    async waiting(count) {
      const deadlineMs = performance.now() + 5_000;
      while (pool.waiting().count !== count) {
        if (performance.now() > deadlineMs)
          throw new Error(`${pool.waiting().count} wait, not ${count}: ${String(errors)}`);
        await Bun.sleep(5);
      }
    },
  };
}

/** An interpreter that waits as waiting.pl says, and prints what it was told. */
const INTERPRETER = {
  argv: [
    "/usr/bin/perl",
    "-e",
    'open my $c, "+<&=", $ENV{JOB_RUNNER_WAIT}; $| = 1; syswrite $c, "w"; local $/; my @job = split /\\0/, <$c>; @job or exit 125; print "$job[0] @job[1..$job[0]]\\n"; exit 7',
  ],
  env: { STARTED: "ahead" },
};
const warmRequest = (overrides: Partial<GuestRequest> = {}) =>
  shellRequest("echo cold", { interpreter: INTERPRETER, ...overrides });

sandboxContract("a pool over bubblewrap", {
  open: async () => openPool().pool,
  close: async () => undefined,
});

describe("what waits", () => {
  test("a sandbox after the first job, an interpreter after the second of its name", async () => {
    const { pool, starts, waiting } = openPool();
    expect((await runGuest(pool, warmRequest())).stdout).toBe("cold\n");
    await waiting(1);
    expect((await runGuest(pool, warmRequest())).stdout).toBe("cold\n");
    await waiting(2);
    const { stdout, exit } = await runGuest(pool, warmRequest());
    expect(stdout).toBe("4 /bin/sh -c echo cold sh\n");
    expect(exit).toMatchObject({ exitCode: 7 });
    expect(starts).toEqual(["nothing", "sandbox", "interpreter"]);
    await waiting(2);
    expect(pool.waiting().bytes).toBeWithin(MIB, 40 * MIB);
  });

  test("is for jobs that are alike in what a sandbox is made of", async () => {
    const { pool, starts, waiting } = openPool();
    await runGuest(pool, shellRequest("exit 0"));
    await waiting(1);
    const limits = { ...DEFAULT_LIMITS, diskBytes: MIB };
    await runGuest(pool, shellRequest("exit 0", { limits }));
    await runGuest(pool, shellRequest("exit 0"));
    expect(starts).toEqual(["nothing", "nothing", "sandbox"]);
  });

  test("holds to the limits of the job that it gets", async () => {
    const { pool, starts, waiting } = openPool();
    await runGuest(pool, shellRequest("exit 0"));
    await waiting(1);
    const limits = { ...DEFAULT_LIMITS, memoryBytes: 32 * MIB };
    const { exit } = await runGuest(
      pool,
      shellRequest(`exec perl -e 'my $x = "x" x 100_000_000; print "alive"'`, { limits }),
    );
    expect(starts.at(-1)).toBe("sandbox");
    expect(exit?.exitCode).not.toBe(0);
  });

  test("goes with the pool, and with a job that is killed in it", async () => {
    const marker = `pool-${process.pid}`;
    const { pool, waiting } = openPool();
    const interpreter = { ...INTERPRETER, argv: [...INTERPRETER.argv, marker] };
    for (let job = 0; job < 2; job += 1) await runGuest(pool, warmRequest({ interpreter }));
    await waiting(2);
    expect(processesWith(marker)).not.toEqual([]);
    await pool.close();
    expect(processesWith(marker)).toEqual([]);
    expect(pool.waiting()).toEqual({ count: 0, bytes: 0, wanted: 0 });
    expect((await runGuest(pool, warmRequest())).stdout).toBe("cold\n");
    expect(pool.waiting().count).toBe(0);
  });

  test("stays below its memory, in favour of what was asked for last", async () => {
    const { pool, waiting } = openPool({ maxWaiting: 1 });
    const limits = { ...DEFAULT_LIMITS, diskBytes: 8 * MIB };
    await runGuest(pool, shellRequest("exit 0"));
    await waiting(1);
    await runGuest(pool, shellRequest("exit 0", { limits }));
    await waiting(1);
    const { starts } = openPool();
    expect(starts).toEqual([]);
    expect((await runGuest(pool, shellRequest("exit 0", { limits }))).exit?.exitCode).toBe(0);
    expect(openPool({ maxBytes: 0 }).pool.waiting().count).toBe(0);
  });
});

describe("what went wrong while it waited", () => {
  test("an interpreter that does not come up is no job's trouble", async () => {
    const { pool, errors } = openPool();
    const interpreter = { argv: ["/bin/false"], env: {} };
    for (let job = 0; job < 3; job += 1)
      expect((await runGuest(pool, warmRequest({ interpreter }))).stdout).toBe("cold\n");
    await Bun.sleep(0);
    for (const error of errors) expect(String(error)).toContain("ended");
  });

  test("a sandbox that was killed is replaced by one that is made for the job", async () => {
    const marker = `killed-${process.pid}`;
    const { pool, waiting } = openPool();
    const interpreter = { ...INTERPRETER, argv: [...INTERPRETER.argv, marker] };
    for (let job = 0; job < 2; job += 1) await runGuest(pool, warmRequest({ interpreter }));
    await waiting(2);
    for (const pid of processesWith(marker)) process.kill(pid, "SIGKILL");
    expect((await runGuest(pool, warmRequest({ interpreter }))).stdout).toBe("cold\n");
  });
});
