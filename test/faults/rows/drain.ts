import { follow } from "../follower.ts";
import type { Row } from "../trial.ts";
import { Violation } from "../violation.ts";

const REDIS = ["redis"] as const;
const BOTH = ["sqlite", "redis"] as const;
const CLIENTS = 50;

const inGrace: Row = {
  name: "SIGTERM worker: its job ends in the grace",
  stores: REDIS,
  async run(trial) {
    const world = await trial.open();
    await world.startApi();
    const leaving = await world.startWorker({ DRAIN_SEC: "30" });
    const job = await world.submit({ lines: 80 });
    await world.untilPrinted(job);
    const stopped = leaving.stop();
    await leaving.said(/SIGTERM/);
    await world.startWorker();
    const later = await world.submit();
    await world.expectEnd(job, { attempts: [1, 1] });
    await world.expectEnd(later, { attempts: [1, 1] });
    if ((await stopped) !== 0) throw new Error("The worker did not stop in order");
  },
};

const outlived: Row = {
  name: "SIGTERM worker: its job outlives the grace",
  stores: REDIS,
  async run(trial) {
    const world = await trial.open();
    await world.startApi();
    const env = { WORKER_CONCURRENCY: "1", DRAIN_SEC: "0" };
    const leaving = await world.startWorker(env);
    const job = await world.submit({ lines: 300, pauseMs: 10 });
    const waiting = await world.submit({ lines: 3 });
    await world.untilPrinted(job);
    const heir = await world.startWorker({ WORKER_CONCURRENCY: "1" });
    await world.expectEnd(waiting, { attempts: [1, 1] });
    const exited = await leaving.stop();
    const handedBackAtMs = Date.now();
    if (exited !== 0) throw new Error("The worker did not stop in order");
    const ms = (await world.untilAttempt(job, 2)) - handedBackAtMs;
    trial.recovered(Math.max(ms, 0));
    if (ms > 1_000) throw new Violation("loss", `picked up only after ${ms} ms`);
    const ended = await world.expectEnd(job, { attempts: [2, 2] });
    if (ended.status !== "succeeded") throw new Violation("loss", JSON.stringify(ended));
    await heir.stop();
  },
};

const manyStreams: Row = {
  name: `SIGTERM API with ${CLIENTS} streams`,
  stores: BOTH,
  async run(trial) {
    const world = await trial.open();
    const env = { DRAIN_SEC: "0" };
    const leaving = await world.startApi(env);
    if (world.kind === "redis") await world.startWorker();
    const job = await world.submit({ lines: 200 });
    const clients = Array.from({ length: CLIENTS }, () =>
      follow({
        url: world.whereabouts,
        path: `/jobs/${job.id}/logs/stream?attempt=all&format=json`,
        random: trial.random,
        cuts: 0,
        deadlineMs: 60_000,
      }),
    );
    for (const client of clients) client.catch(() => undefined);
    await world.untilPrinted(job);
    await Bun.sleep(trial.random.int(0, 300));
    const submitted = world.submit({ lines: 5 });
    const code = await leaving.stop();
    if (code !== 0) throw new Error(`The API ended with ${code}: ${leaving.output()}`);
    await world.startApi(env);
    await world.expectEnd(await submitted, { attempts: [1, 2] });
    await world.expectEnd(job, { attempts: world.kind === "sqlite" ? [2, 2] : [1, 1] });
    const wanted = JSON.stringify(await job.pieces);
    for (const client of clients)
      if (JSON.stringify(await client) !== wanted)
        throw new Violation("gap", "two clients have not seen the same");
  },
};

export const DRAIN: readonly Row[] = [inGrace, outlived, manyStreams];
