import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { Redis } from "ioredis";

import { getJob, submissionForm } from "../../support/client.ts";
import type { RedisServer } from "../../support/redis-server.ts";
import { recoveryBoundMs, REDIS, type Row } from "../trial.ts";
import { Violation } from "../violation.ts";
import type { TrackedJob, World } from "../world.ts";
import { command, expectResumed, openBusy, redisOf } from "./redis-busy.ts";

/** A server that has no room takes no job, and says when to try again. */
async function expectRefused({ url }: World): Promise<void> {
  const body = submissionForm({ spec: { entry: "main.py" }, code: { "main.py": "print(1)\n" } });
  const refused = await fetch(`${url}/jobs`, { method: "POST", body });
  const text = await refused.text();
  if (refused.status !== 507 || refused.headers.get("retry-after") === null)
    throw new Error(`A full store answered ${refused.status} ${text}`);
}

const full: Row = {
  name: "redis reaches maxmemory while jobs run",
  stores: REDIS,
  async run(trial) {
    const { world, redis, jobs } = await openBusy(trial);
    await Bun.sleep(trial.random.int(100, 600));
    await command(redis, "CONFIG", "SET", "maxmemory", "1");
    await expectRefused(world);
    // Programs go on without their output: each job ends, with what was dropped counted and marked.
    const dropped = await Promise.all(jobs.map((job) => expectCut(world, job)));
    if (dropped.every((bytes) => bytes === 0)) throw new Error("The store was full too late");
    await command(redis, "CONFIG", "SET", "maxmemory", "0");
    await expectResumed(trial, world);
  },
};

/** A job of which nothing, or just the end of its output, was dropped. Resolves to how many bytes. */
async function expectCut(world: World, job: TrackedJob): Promise<number> {
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
  return dropped;
}

/** The sweep works on a full server, so that the job of a worker that died waits again; it is run once there is room. */
const deathWhileFull: Row = {
  name: "kill -9 worker while redis is at maxmemory",
  stores: REDIS,
  async run(trial) {
    const world = await trial.open();
    const redis = redisOf(world);
    await world.startApi();
    const doomed = await world.startWorker({ WORKER_CONCURRENCY: "1" });
    const job = await world.submit({ lines: 60, lingers: 1 });
    await world.untilPrinted(job);
    await world.startWorker({ WORKER_CONCURRENCY: "1" });
    await command(redis, "CONFIG", "SET", "maxmemory", "1");
    await doomed.kill9();
    await world.expectNoGuests();
    await untilQueued(world, job, recoveryBoundMs(trial.leaseMs));
    await expectRefused(world);
    await command(redis, "CONFIG", "SET", "maxmemory", "0");
    await expectResumed(trial, world);
    await world.expectEnd(job, { attempts: [2, 2] });
  },
};

/** Nobody tells when a job waits again: its log says nothing before it is claimed. */
async function untilQueued(world: World, { id }: TrackedJob, withinMs: number): Promise<void> {
  const givesUpAtMs = performance.now() + withinMs;
  for (;;) {
    const { status } = await getJob(world.url, id);
    if (status === "queued") return;
    if (performance.now() > givesUpAtMs)
      throw new Violation("loss", `a dead worker's job is ${status} after ${withinMs} ms`);
    await Bun.sleep(50);
  }
}

/** Nothing can be written meanwhile, the end of a job neither; so nothing may be run again afterwards. */
const unwritable: Row = {
  name: "redis cannot write to its disk while jobs run (MISCONF)",
  stores: REDIS,
  async run(trial) {
    const settings = { save: "3600 1", "enable-protected-configs": "yes" };
    const { world, redis, jobs } = await openBusy(trial, { world: { redis: { settings } } });
    await Bun.sleep(trial.random.int(100, 600));
    // A folder is where the snapshot should be.
    await mkdir(join(redis.directory, "full"));
    await command(redis, "CONFIG", "SET", "dbfilename", "full");
    await saveUntil(redis, "err");
    await expectRefused(world);
    await Bun.sleep(trial.random.int(1_500, 8_000));
    await command(redis, "CONFIG", "SET", "dbfilename", "dump.rdb");
    await saveUntil(redis, "ok");
    await expectResumed(trial, world);
    for (const job of jobs) await expectCut(world, job);
  },
};

async function saveUntil(redis: RedisServer, status: "ok" | "err"): Promise<void> {
  const client = new Redis(redis.url);
  try {
    const last = async () =>
      /rdb_last_bgsave_status:(\w+)/.exec(await client.info("persistence"))?.[1];
    while ((await last()) !== status) {
      await client.bgsave().catch(() => undefined);
      await Bun.sleep(50);
    }
  } finally {
    client.disconnect();
  }
}

export const REDIS_FULL: readonly Row[] = [full, deathWhileFull, unwritable];
