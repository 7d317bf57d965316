import { Redis } from "ioredis";

import { clockOff, hasFaketime } from "../../support/faketime.ts";
import type { RedisServer } from "../../support/redis-server.ts";
import { REDIS, type Row } from "../trial.ts";
import { redisOf } from "./redis-busy.ts";

const HOUR_MS = 3_600_000;

const workers: Row = {
  name: "workers' clocks wrong by an hour, one dies",
  stores: REDIS,
  async run(trial) {
    const world = await trial.open();
    await world.startApi();
    const env = { WORKER_CONCURRENCY: "2" };
    const doomed = await world.startWorker({ ...env, ...clockOff("+1h") });
    const early = await world.submit({ lines: 200 });
    await world.untilPrinted(early);
    await world.startWorker({ ...env, ...clockOff("-1h") });
    const late = await Promise.all([world.submit(), world.submit()]);
    await doomed.kill9();
    await world.expectEnd(early, { attempts: [2, 2] });
    for (const job of late) await world.expectEnd(job, { attempts: [1, 2] });
  },
};

/**
 * A Redis that is built with jemalloc does not start under libfaketime. But for a server whose clock jumps, all that
 * changes is how far away the times are that it has stored: those that leases and the presence of workers go by are moved
 * the other way, at once. Retention and the expiry of keys are not tried.
 */
const JUMP = `
local by = tonumber(ARGV[1])
for _, key in ipairs({ KEYS[1], KEYS[3] }) do
  for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -by, member) end
end
for _, field in ipairs({ 'last_sweep', 'graced_until' }) do
  if redis.call('HEXISTS', KEYS[2], field) == 1 then redis.call('HINCRBY', KEYS[2], field, -by) end
end`;

async function jump(redis: RedisServer, byMs: number): Promise<void> {
  const client = new Redis(redis.url);
  try {
    await client.eval(JUMP, 3, "{jr}:running", "{jr}:meta", "{jr}:workers-seen", byMs);
  } finally {
    client.disconnect();
  }
}

const server: Row = {
  name: "redis clock jumps by an hour, there and back",
  stores: REDIS,
  async run(trial) {
    const world = await trial.open();
    const redis = redisOf(world);
    await Promise.all([world.startApi(), world.startWorker(), world.startWorker()]);
    const submit = () => world.submit({ lines: 120, pauseMs: 15 });
    const jobs = await Promise.all(Array.from({ length: 3 }, submit));
    const forth = trial.random.pick([HOUR_MS, -HOUR_MS]);
    for (const byMs of [forth, -forth]) {
      await Bun.sleep(trial.random.int(100, 600));
      await jump(redis, byMs);
      jobs.push(await world.submit({ lines: 10 }));
    }
    await Promise.all(jobs.map((job) => world.expectEnd(job, { attempts: [1, 1] })));
  },
};

export const CLOCKS: readonly Row[] = hasFaketime() ? [workers, server] : [server];
