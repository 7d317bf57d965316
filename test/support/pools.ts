import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { MIB } from "../../src/jobs/limits.ts";
import { createBubblewrap } from "../../src/sandbox/bubblewrap.ts";
import { isRoot, type UidRange } from "../../src/sandbox/guest-uids.ts";
import type {
  GuestRequest,
  GuestSetup,
  PreparableSandbox,
  PreparedGuest,
  WaitingInterpreter,
} from "../../src/sandbox/sandbox.ts";
import {
  createWarmPool,
  type WarmPool,
  type WarmPoolOptions,
} from "../../src/sandbox/warm-pool.ts";
import { hasCgroups, openCgroups } from "./cgroups.ts";
import { DEFAULT_LIMITS, runGuest, shellRequest } from "./guests.ts";

/** A pool over real sandboxes, and what it does with them. */
export interface WatchedPool {
  readonly pool: WarmPool;
  /** What each job was started on. */
  readonly starts: string[];
  readonly errors: string[];
  /** When each sandbox that was to wait was set up, or was tried to. */
  readonly attemptsMs: number[];
  /** Sandboxes that were set up, for whatever. */
  preparations(): number;
  /** The most sandboxes that waited, or were about to, at once. */
  mostWaiting(): number;
  /** Runs a job to its end; gives what it printed. */
  run(request: GuestRequest): Promise<string>;
  /** Resolves once so many wait. */
  waiting(count: number): Promise<void>;
  /** Resolves once so many are to wait. */
  wanted(count: number): Promise<void>;
  /** Resolves once all wait that are to. */
  full(): Promise<void>;
}

export interface PoolOptions extends Partial<WarmPoolOptions> {
  readonly uids?: UidRange;
  /** Called when a sandbox that is to wait has been set up; throws where that is to have failed. */
  readonly onPrepared?: () => void;
  /** Called before a job is given to a sandbox, whether or not that waited for it. */
  readonly beforeRun?: () => void;
  /** Awaited before one that waits is taken down. */
  readonly beforeDestroy?: Promise<void>;
  /** What one that waits is said to take, or each; absent: what it takes. */
  readonly bytesEach?: number | ((setup: GuestSetup) => number);
}

const PATIENCE_MS = 10_000;

/** The sandboxes of one test file; close() takes all down. */
export function usePools(defaultUids: UidRange) {
  const runtimeDir = mkdtempSync(join(tmpdir(), "job-runner-pool-"));
  const cgroups = hasCgroups() ? openCgroups() : undefined;
  const sandboxOf = (uids: UidRange) => createBubblewrap({ uids, runtimeDir, cgroups });
  const shared = sandboxOf(defaultUids);
  const pools: WarmPool[] = [];
  const closeAll = async () => {
    await Promise.all(pools.splice(0).map((pool) => pool.close()));
  };
  return {
    open(options: PoolOptions = {}): WatchedPool {
      const sandbox = options.uids === undefined ? shared : sandboxOf(options.uids);
      const watched = openPool(sandbox, options);
      pools.push(watched.pool);
      return watched;
    },
    closeAll,
    async close(): Promise<void> {
      await closeAll();
      rmSync(runtimeDir, { recursive: true, force: true });
    },
  };
}

function openPool(sandbox: PreparableSandbox, options: PoolOptions): WatchedPool {
  const { onPrepared, beforeRun, beforeDestroy, bytesEach, uids: _used, ...rest } = options;
  const starts: string[] = [];
  const errors: string[] = [];
  const attemptsMs: number[] = [];
  let preparations = 0;
  let mostWaiting = 0;
  let waitingNow = 0;
  const pool = createWarmPool(
    {
      ...sandbox,
      async prepare(setup) {
        preparations += 1;
        const prepared = await sandbox.prepare(setup);
        let isWaiting = false;
        const leaves = () => {
          if (isWaiting) waitingNow -= 1;
          isWaiting = false;
        };
        return {
          ...prepared,
          memoryBytes() {
            const bytes = typeof bytesEach === "function" ? bytesEach(setup) : bytesEach;
            return bytes ?? prepared.memoryBytes();
          },
          async wait(interpreter) {
            attemptsMs.push(performance.now());
            isWaiting = true;
            mostWaiting = Math.max(mostWaiting, (waitingNow += 1));
            onPrepared?.();
            return prepared.wait(interpreter);
          },
          run(request) {
            leaves();
            beforeRun?.();
            return prepared.run(request);
          },
          async destroy() {
            await beforeDestroy;
            await prepared.destroy();
            leaves();
          },
        };
      },
    },
    {
      maxBytes: 256 * MIB,
      maxWaiting: 10,
      slots: 2,
      onStart: (on) => starts.push(on),
      onError: (error) => errors.push(String(error)),
      ...rest,
      // Jobs come here as fast as they go.
      timing: { quietAfterStartMs: 0, quietAfterEndMs: 0, ...rest.timing },
    },
  );
  const until = async (accept: () => boolean) => {
    const deadlineMs = performance.now() + PATIENCE_MS;
    while (!accept()) {
      if (performance.now() > deadlineMs)
        throw new Error(`${JSON.stringify(pool.waiting())}: ${errors.join()}`);
      await Bun.sleep(5);
    }
  };
  return {
    pool,
    starts,
    errors,
    attemptsMs,
    preparations: () => preparations,
    mostWaiting: () => mostWaiting,
    run: async (request) => (await runGuest(pool, request)).stdout,
    waiting: (count) => until(() => pool.waiting().count === count),
    wanted: (count) => until(() => pool.waiting().wanted === count),
    full: () => until(() => pool.waiting().count === pool.waiting().wanted),
  };
}

/** Stands for a sandbox where none is started. */
export const UNUSED_GUEST: PreparedGuest = {
  wait: () => Promise.resolve(true),
  lastWords: () => Promise.resolve(""),
  gone: Promise.resolve(),
  memoryBytes: () => 0,
  run: () => Promise.reject(new Error("not here")),
  destroy: () => Promise.resolve(),
};

/** A job that only another one like it can lend its sandbox to. */
export function ofDisk(mb: number, script = "echo done"): GuestRequest {
  return shellRequest(script, { limits: { ...DEFAULT_LIMITS, diskBytes: mb * MIB } });
}

/** In Perl: waits as waiting.pl says, and prints what it was told after a number of its own. */
const WAITING =
  'my $id = rand; open my $c, "+<&=", $ENV{JOB_RUNNER_WAIT}; $| = 1; syswrite $c, "w"; local $/; my @job = split /\\0/, <$c>; @job or exit 125; print "$id $job[0] @job[1..$job[0]]\\n"; exit 7';
export const interpreterOf = (marker = "marker"): WaitingInterpreter => ({
  argv: ["/usr/bin/perl", "-e", WAITING, marker],
  env: { STARTED: "ahead" },
});

/** A job that prints `cold` where its interpreter did not wait. */
export const warmRequest = (overrides: Partial<GuestRequest> = {}) =>
  shellRequest("echo cold", { interpreter: interpreterOf(), ...overrides });

/** An interpreter waits for a name that has come up twice. */
export async function warmUp({ run, full }: WatchedPool, request = warmRequest()): Promise<void> {
  for (let job = 0; job < 2; job += 1) {
    if ((await run(request)) !== "cold\n") throw new Error("Something waited already");
    await full();
  }
}

/** This host's processes of guests; only root can tell them by their uid, anybody else's are looked for by a marker. */
export function guestProcesses({ first, last }: UidRange): readonly string[] {
  if (!isRoot()) return [];
  return readdirSync("/proc").filter((pid) => {
    const uid = /^\d+$/.test(pid) ? statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid : 0;
    return uid !== undefined && uid >= first && uid <= last;
  });
}
