import { getJob, snapshot, waitForEnd } from "../../support/client.ts";
import type { RedisServer } from "../../support/redis-server.ts";
import { residentBytes } from "../memory.ts";
import { REDIS, type Row } from "../trial.ts";
import { Violation } from "../violation.ts";
import type { World } from "../world.ts";
import { command, expectResumed, expectUndisturbed, openBusy, redisOf } from "./redis-busy.ts";

const MIB = 1024 * 1024;

const killed: readonly Row[] = (["always", "everysec"] as const).map((appendFsync) => ({
  name: `redis kill -9 and restart, appendfsync ${appendFsync}`,
  stores: REDIS,
  async run(trial) {
    const mayReset = appendFsync === "everysec";
    const lines = mayReset ? 300 : 100;
    const { world, redis, jobs } = await openBusy(trial, {
      world: { redis: { appendFsync }, mayReset },
      lines,
    });
    // What was acknowledged more than two seconds ago is on the disk with everysec, too; the jobs run for longer.
    await Bun.sleep(mayReset ? 2_100 : trial.random.int(50, 1_000));
    await redis.kill9();
    await Bun.sleep(trial.random.int(0, 2_000));
    await redis.restart();
    await expectResumed(trial, world);
    await expectUndisturbed(world, jobs);
  },
}));

/** Jobs that were taken, claimed, or ended in the very last second: none of them may be missing, cut or run again. */
const lastSecond: Row = {
  name: "redis kill -9 in a job's first and last moments, appendfsync always",
  stores: REDIS,
  async run(trial) {
    const world = await trial.open({ redis: { appendFsync: "always" } });
    await Promise.all([world.startApi(), world.startWorker(), world.startWorker()]);
    const jobs = await Promise.all(
      Array.from({ length: 6 }, () => world.submit({ lines: 5, pauseMs: 4 })),
    );
    await Bun.sleep(trial.random.int(0, 400));
    await world.redis?.kill9();
    await world.redis?.restart();
    await expectUndisturbed(world, jobs);
  },
};

/**
 * What is gone are claims, log tails and ends, of jobs that were submitted before: their workers know all of it, and none
 * may run again.
 */
const hostCrash: Row = {
  name: "redis host crash that loses the last second",
  stores: REDIS,
  async run(trial) {
    const options = { redis: { appendFsync: "everysec" }, mayReset: true } as const;
    const world = await trial.open(options);
    await Promise.all([world.startApi(), world.startWorker(), world.startWorker()]);
    // With free slots when the server comes back: it must not take what seems to wait, but runs.
    const idle = await world.startWorker({ WORKER_CONCURRENCY: "10" });
    process.kill(idle.pid, "SIGSTOP");
    const submit = () => world.submit({ lines: trial.random.int(2, 40), pauseMs: 15 });
    const jobs = await Promise.all(Array.from({ length: 16 }, submit));
    await untilWritten(redisOf(world));
    await Bun.sleep(trial.random.int(0, 400));
    const downMs = trial.random.pick([0, 3_500]);
    await loseLastSecond(world, { windowMs: trial.random.int(300, 1_000), downMs });
    process.kill(idle.pid, "SIGCONT");
    await expectResumed(trial, world);
    await expectUndisturbed(world, jobs);
  },
};

/**
 * Resolves once all that the server has acknowledged by now is in its append-only file. While a flush of `everysec` is under
 * way it keeps back for up to 2 s what it would write (Redis 7, aof.c, flushAppendOnlyFile): on a slow disk more is lost
 * than the last second.
 */
async function untilWritten(redis: RedisServer): Promise<void> {
  while (!/^aof_buffer_length:0\r$/m.test(await command(redis, "INFO", "persistence")))
    await Bun.sleep(WRITTEN_LOOK_MS);
}

/** Between two looks; the server tells nobody by itself. */
const WRITTEN_LOOK_MS = 10;

/** What `everysec` may lose; on a busy machine a copy can be older than it was meant to be, and is of no use then. */
const LOSABLE_MS = 1_500;

async function loseLastSecond(
  world: World,
  { windowMs, downMs }: { readonly windowMs: number; readonly downMs: number },
): Promise<void> {
  const redis = redisOf(world);
  for (;;) {
    const copy = await redis.prepareHostCrash();
    await Bun.sleep(windowMs);
    if (copy.ageMs() <= LOSABLE_MS) return await copy.crash(downMs);
    await copy.forget();
  }
}

const frozen: readonly Row[] = [3_000, 20_000].map((ms) => ({
  name: `redis SIGSTOP for ${ms / 1000} s`,
  stores: REDIS,
  async run(trial) {
    const { world, redis, jobs } = await openBusy(trial);
    await Bun.sleep(trial.random.int(0, 500));
    process.kill(redis.pid(), "SIGSTOP");
    await Bun.sleep(ms);
    process.kill(redis.pid(), "SIGCONT");
    await expectResumed(trial, world);
    await expectUndisturbed(world, jobs);
  },
}));

const FLOOD_LINES = 300_000;
const FLOOD = `for i in range(${FLOOD_LINES}): print(i, "x" * 90)\n`;
/** Well below the output that waits: what a worker may take in while it cannot send anything. */
const HELD_BYTES = 100 * MIB;

/** Nearly as long as a worker holds out (OUTAGE_SEC, 60 s), with a program that prints all along. */
const backPressure: Row = {
  name: "redis SIGSTOP for 55 s under a program that prints 30 MB",
  stores: REDIS,
  async run(trial) {
    const world = await trial.open();
    const redis = redisOf(world);
    await world.startApi();
    const worker = await world.startWorker();
    const beforeBytes = residentBytes(worker.pid);
    const job = await world.submitPython(FLOOD, { timeout_sec: 300, limits: { output_mb: 64 } });
    await world.untilPrinted(job);
    process.kill(redis.pid(), "SIGSTOP");
    await Bun.sleep(55_000);
    if (!world.copiesOf(job).includes(1))
      throw new Error("The program has ended: nothing held it back");
    const grownBytes = residentBytes(worker.pid) - beforeBytes;
    process.kill(redis.pid(), "SIGCONT");
    if (grownBytes > HELD_BYTES)
      throw new Error(`The worker grew by ${Math.round(grownBytes / MIB)} MiB in the outage`);
    await waitForEnd(world.url, job.id);
    const ended = await getJob(world.url, job.id);
    if (ended.status !== "succeeded" || ended.attempt !== 1)
      throw new Violation("duplicate", JSON.stringify(ended));
    const wanted = Array.from({ length: FLOOD_LINES }, (_, i) => `${i} ${"x".repeat(90)}\n`);
    if ((await snapshot(world.url, job.id)).toString() !== wanted.join(""))
      throw new Violation("gap", "the output of the outage is not whole");
  },
};

const paused: Row = {
  name: "CLIENT PAUSE WRITE for 20 s",
  stores: REDIS,
  async run(trial) {
    const { world, redis, jobs } = await openBusy(trial);
    await command(redis, "CLIENT", "PAUSE", "20000", "WRITE");
    await Bun.sleep(20_000);
    await expectResumed(trial, world);
    await expectUndisturbed(world, jobs);
  },
};

const flushed: Row = {
  name: "SCRIPT FLUSH under load",
  stores: REDIS,
  async run(trial) {
    const { world, redis, jobs } = await openBusy(trial);
    const ended = expectUndisturbed(world, jobs);
    let isOver = false;
    const over = ended.finally(() => (isOver = true));
    over.catch(() => undefined);
    while (!isOver) {
      await command(redis, "SCRIPT", "FLUSH", "SYNC");
      await Bun.sleep(trial.random.int(1, 30));
    }
    await over;
  },
};

export const REDIS_DEATH: readonly Row[] = [
  ...killed,
  lastSecond,
  hostCrash,
  ...frozen,
  backPressure,
  paused,
  flushed,
];
