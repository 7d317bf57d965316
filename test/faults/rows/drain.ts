import { readdirSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";

import { getJob } from "../../support/client.ts";
import { follow } from "../follower.ts";
import { openPost } from "../raw-post.ts";
import { BOTH, REDIS, type Row } from "../trial.ts";
import { crowdTurn } from "../turns.ts";
import { Violation } from "../violation.ts";
import type { World } from "../world.ts";

const CLIENTS = 100;
/** So long a worker that has been told to stop is given to claim a job all the same. */
const NO_CLAIM_MS = 300;

/** A request under way takes so much longer. */
const SLOW_POST_MS = 2_500;

const inGrace: Row = {
  name: "SIGTERM worker: its job ends in the grace",
  stores: REDIS,
  async run(trial) {
    const world = await trial.open();
    await world.startApi();
    // With a slot to spare.
    const leaving = await world.startWorker({ DRAIN_SEC: "30", WORKER_CONCURRENCY: "2" });
    const job = await world.submit({ lines: 150 });
    await world.untilPrinted(job);
    const stopped = leaving.stop();
    await leaving.said(/SIGTERM/);
    const later = await world.submit();
    await Bun.sleep(NO_CLAIM_MS);
    const { status } = await getJob(world.url, later.id);
    if (status !== "queued")
      throw new Violation("duplicate", `a leaving worker took a job, which is ${status}`);
    await world.startWorker();
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
    const job = await world.submit({ lines: 50, lingers: 1 });
    await world.untilPrinted(job);
    const heir = await world.startWorker(env);
    // Keeps the heir busy until the job is back in the queue, before others that wait there.
    const blocker = await world.submit({ lines: 200, pauseMs: 20 });
    await world.untilPrinted(blocker);
    const waiting = [await world.submit({ lines: 3 }), await world.submit({ lines: 3 })];
    if (!world.copiesOf(job).includes(1)) throw new Error("The job does not run");
    if ((await leaving.stop()) !== 0) throw new Error("The worker did not stop in order");
    if (world.copiesOf(job).length > 0)
      throw new Violation("orphan", "a program outlived its worker");
    const handedBackAtMs = Date.now();
    const { finished_at } = await world.expectEnd(blocker, { attempts: [1, 1] });
    const freeAtMs = Math.max(Date.parse(finished_at ?? ""), handedBackAtMs);
    const startedAtMs = await world.untilAttempt(job, 2);
    trial.recovered(Math.max(startedAtMs - freeAtMs, 0));
    if (startedAtMs - freeAtMs > 1_000)
      throw new Violation("loss", `picked up only after ${startedAtMs - freeAtMs} ms`);
    await world.expectEnd(job, { attempts: [2, 2] });
    for (const each of waiting) {
      const { started_at } = await world.expectEnd(each, { attempts: [1, 1] });
      if (Date.parse(started_at ?? "") < startedAtMs)
        throw new Violation("loss", "the job was not put back to the head of the queue");
    }
    await heir.stop();
  },
};

/** A POST of which the server has half; the rest comes when it is asked for, and then its answer. */
async function halfPost({ url, dataDir }: World): Promise<() => Promise<string>> {
  const post = openPost(url, `print("slow")\n#${"x".repeat(50_000)}`);
  const half = Math.floor(post.bodyLength / 2);
  post.send(0, half);
  // There is a place for its files from then on.
  while (readdirSync(join(dataDir, ".uploads")).length === 0) await Bun.sleep(5);
  return async () => {
    post.send(half);
    return await text(post.socket);
  };
}

const manyStreams: Row = {
  name: `SIGTERM API with ${CLIENTS} streams`,
  stores: BOTH,
  run: (trial) =>
    crowdTurn(async () => {
      const world = await trial.open();
      const env = { DRAIN_SEC: "5" };
      const leaving = await world.startApi(env);
      if (world.kind === "redis") await world.startWorker();
      // It must not have ended by the time that everybody is connected, which takes a busy machine long: it is cancelled.
      const job = await world.submit({ lines: 300, pauseMs: 20, lingers: 2 });
      let [connected, leaves] = [0, 0];
      const allConnected = Promise.withResolvers<void>();
      const clients = Array.from({ length: CLIENTS }, () =>
        follow({
          url: world.url,
          path: `/jobs/${job.id}/logs/stream?attempt=all&format=json`,
          random: trial.random,
          cuts: 0,
          onConnected: () => {
            connected += 1;
            if (connected === CLIENTS) allConnected.resolve();
          },
          onLeave: () => (leaves += 1),
          deadlineMs: 60_000,
        }),
      );
      for (const client of clients) client.catch(() => undefined);
      await allConnected.promise;
      const finishPost = await halfPost(world);
      await Bun.sleep(trial.random.int(0, 300));
      const stopped = leaving.stop();
      await leaving.said(/SIGTERM/);
      await Bun.sleep(SLOW_POST_MS);
      const answer = await finishPost();
      const [, id = ""] = /^HTTP\/1\.1 202 [^]*"id":"([^"]+)"/.exec(answer) ?? [];
      if (id === "") throw new Violation("loss", `a POST under way was answered ${answer}`);
      if ((await stopped) !== 0) throw new Error(`The API did not stop in order`);
      await world.startApi(env);
      const attempt = world.kind === "sqlite" ? 2 : 1;
      await world.untilAttempt(job, attempt);
      await fetch(`${world.url}/jobs/${job.id}/cancel`, { method: "POST" });
      await world.expectEnd(job, { status: "cancelled", attempts: [attempt, attempt] });
      const wanted = JSON.stringify(await job.pieces);
      for (const client of clients)
        if (JSON.stringify(await client) !== wanted)
          throw new Violation("gap", "two clients have not seen the same");
      if (leaves !== CLIENTS)
        throw new Violation("gap", `${leaves} of ${CLIENTS} streams ended with a retry`);
      const slow = await world.wholeStream(`/jobs/${id}/logs/stream`);
      if (!slow.some(({ data }) => data === "slow"))
        throw new Violation("loss", "the job of the POST under way has no output");
    }),
};

export const DRAIN: readonly Row[] = [inGrace, outlived, manyStreams];
