import { Redis } from "ioredis";

import type { RedisServer } from "../../support/redis-server.ts";
import type { Trial } from "../trial.ts";
import { Violation } from "../violation.ts";
import type { TrackedJob, World, WorldOptions } from "../world.ts";

/** How soon every loop goes on once the store is back (store.ts, I11). */
const RESUME_MS = 5_000;

/** The world's Redis. Throws on another store. */
export function redisOf({ redis }: World): RedisServer {
  if (redis === null) throw new Error("A row of Redis without a Redis");
  return redis;
}

/** An API and two workers, and a few jobs that run for a second or two. */
export async function openBusy(
  trial: Trial,
  {
    world: options = {},
    lines = 100,
  }: { readonly world?: WorldOptions; readonly lines?: number } = {},
): Promise<{ world: World; redis: RedisServer; jobs: TrackedJob[] }> {
  const world = await trial.open(options);
  const redis = redisOf(world);
  // With slots to spare, so that a job that comes later waits for nothing but what is under test.
  const start = () => world.startWorker({ WORKER_CONCURRENCY: "4" });
  await Promise.all([world.startApi(), start(), start()]);
  const submit = () => world.submit({ lines, pauseMs: trial.random.int(8, 20) });
  const jobs = await Promise.all(Array.from({ length: 4 }, submit));
  return { world, redis, jobs };
}

/** Nothing was run again, and everything is whole. */
export async function expectUndisturbed(world: World, jobs: readonly TrackedJob[]): Promise<void> {
  await Promise.all(jobs.map((job) => world.expectEnd(job, { attempts: [1, 1] })));
}

/** A new job is taken, run and ended; what that takes is the recovery. */
export async function expectResumed(trial: Trial, world: World): Promise<void> {
  const sinceMs = Date.now();
  const job = await world.submit({ lines: 1, pauseMs: 0 });
  const ended = await world.expectEnd(job, { attempts: [1, 1] });
  const ms = Date.parse(ended.started_at ?? "") - sinceMs;
  trial.recovered(ms);
  if (ms > RESUME_MS) throw new Violation("loss", `a job was started only after ${ms} ms`);
}

/** Sends a command to the server, over a connection of its own. Resolves to its answer as text. */
export async function command(
  redis: RedisServer,
  ...words: readonly [string, ...string[]]
): Promise<string> {
  const client = new Redis(redis.url);
  try {
    return String(await client.call(...words));
  } finally {
    client.disconnect();
  }
}
