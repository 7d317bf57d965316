import { Redis } from "ioredis";

import type { RedisServer } from "../../support/redis-server.ts";
import type { Row, Trial } from "../trial.ts";
import { Violation } from "../violation.ts";
import type { TrackedJob, World } from "../world.ts";

const REDIS = ["redis"] as const;
/** How soon every loop goes on once the store is back (store.ts, I11). */
const RESUME_MS = 5_000;

/** An API and two workers, and a few jobs that run for a second or two. */
async function openBusy(
  trial: Trial,
  options: Parameters<Trial["open"]>[0] = {},
): Promise<{ world: World; redis: RedisServer; jobs: TrackedJob[] }> {
  const world = await trial.open(options);
  const { redis } = world;
  if (redis === null) throw new Error("A row of Redis without a Redis");
  await Promise.all([world.startApi(), world.startWorker(), world.startWorker()]);
  const submit = () => world.submit({ lines: 100, pauseMs: trial.random.int(8, 20) });
  const jobs = await Promise.all(Array.from({ length: 4 }, submit));
  return { world, redis, jobs };
}

/** Nothing was run again, and everything is whole. */
async function expectUndisturbed(world: World, jobs: readonly TrackedJob[]): Promise<void> {
  await Promise.all(jobs.map((job) => world.expectEnd(job, { attempts: [1, 1] })));
}

/** A new job is taken, run and ended; what that takes is the recovery. */
async function expectResumed(trial: Trial, world: World): Promise<void> {
  const sinceMs = Date.now();
  const job = await world.submit({ lines: 1, pauseMs: 0 });
  const ended = await world.expectEnd(job, { attempts: [1, 1] });
  const ms = Date.parse(ended.started_at ?? "") - sinceMs;
  trial.recovered(ms);
  if (ms > RESUME_MS) throw new Violation("loss", `a job was started only after ${ms} ms`);
}

const killed: readonly Row[] = (["always", "everysec"] as const).map((appendFsync) => ({
  name: `redis kill -9 and restart, appendfsync ${appendFsync}`,
  stores: REDIS,
  async run(trial) {
    const mayReset = appendFsync === "everysec";
    const { world, redis, jobs } = await openBusy(trial, { redis: { appendFsync }, mayReset });
    // What was acknowledged more than two seconds ago is on the disk with everysec, too.
    await Bun.sleep(mayReset ? 2_100 : trial.random.int(50, 1_000));
    await redis.kill9();
    await Bun.sleep(trial.random.int(0, 2_000));
    await redis.restart();
    await expectResumed(trial, world);
    await expectUndisturbed(world, jobs);
  },
}));

/** Jobs that were taken, claimed, or ended in the very last second: what is still known of them must be whole. */
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
    await Bun.sleep(trial.random.int(0, 400));
    await loseLastSecond(world, trial.random.int(300, 1_000));
    process.kill(idle.pid, "SIGCONT");
    await expectResumed(trial, world);
    await expectUndisturbed(world, jobs);
  },
};

/** What `everysec` may lose; on a busy machine a copy can be older than it was meant to be, and is of no use then. */
const LOSABLE_MS = 1_500;

async function loseLastSecond({ redis }: World, windowMs: number): Promise<void> {
  if (redis === null) throw new Error("A row of Redis without a Redis");
  for (;;) {
    const copy = await redis.prepareHostCrash();
    await Bun.sleep(windowMs);
    if (copy.ageMs() <= LOSABLE_MS) return await copy.crash();
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

async function command(
  redis: RedisServer,
  ...words: readonly [string, ...string[]]
): Promise<void> {
  const client = new Redis(redis.url);
  try {
    await client.call(...words);
  } finally {
    client.disconnect();
  }
}

const paused: Row = {
  name: "CLIENT PAUSE WRITE for 20 s",
  stores: REDIS,
  async run(trial) {
    const { world, redis, jobs } = await openBusy(trial);
    await command(redis, "CLIENT", "PAUSE", "20000", "WRITE");
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

const full: Row = {
  name: "redis reaches maxmemory while jobs run",
  stores: REDIS,
  async run(trial) {
    const { world, redis, jobs } = await openBusy(trial);
    await Bun.sleep(trial.random.int(100, 600));
    await command(redis, "CONFIG", "SET", "maxmemory", "1");
    const form = new FormData();
    form.append("spec", JSON.stringify({ entry: "main.py" }));
    form.append("code_files", new Blob(["print(1)\n"]), "main.py");
    const refused = await fetch(`${world.url}/jobs`, { method: "POST", body: form });
    if (refused.status !== 507 || refused.headers.get("retry-after") === null)
      throw new Error(`A full store answered ${refused.status} ${await refused.text()}`);
    // Programs go on without their output: each job ends, with what was dropped counted and marked.
    for (const job of jobs) await expectCut(world, job);
    await command(redis, "CONFIG", "SET", "maxmemory", "0");
    await expectResumed(trial, world);
  },
};

/** A job of which nothing, or just the end of its output, was dropped. */
async function expectCut(world: World, job: TrackedJob): Promise<void> {
  const events = await job.pieces;
  const text = ["stdout", "stderr"].map((stream) =>
    events
      .filter(({ name }) => name === "message")
      .map(({ data }) => JSON.parse(data) as { stream: string; text: string })
      .filter((piece) => piece.stream === stream)
      .map((piece) => piece.text)
      .join(""),
  );
  const written = [job.oracle.text(1, "stdout"), job.oracle.text(1, "stderr")];
  if (text.some((found, index) => !written[index]?.startsWith(found)))
    throw new Violation("gap", `job ${job.id}: its log is no prefix of what was written`);
  const response = await fetch(`${world.url}/jobs/${job.id}`);
  const record = (await response.json()) as {
    status: string;
    attempt: number;
    log: { bytes: number; dropped_bytes: number };
  };
  if (record.status !== "succeeded" || record.attempt !== 1)
    throw new Violation("loss", `job ${job.id}: ${JSON.stringify(record)}`);
  const lengthOf = (texts: readonly string[]) =>
    texts.reduce((sum, each) => sum + Buffer.byteLength(each), 0);
  const dropped = lengthOf(written) - lengthOf(text);
  if (record.log.dropped_bytes !== dropped)
    throw new Violation("gap", `${dropped} bytes are missing: ${JSON.stringify(record)}`);
  const told = events.findLast(({ name }) => name === "gap")?.data;
  if (dropped > 0 && told !== JSON.stringify({ dropped_bytes: dropped }))
    throw new Violation("gap", `${dropped} bytes are missing, and the stream tells ${told}`);
}

export const REDIS_DEATH: readonly Row[] = [
  ...killed,
  lastSecond,
  hostCrash,
  ...frozen,
  paused,
  flushed,
  full,
];
