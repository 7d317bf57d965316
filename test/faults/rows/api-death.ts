import { follow } from "../follower.ts";
import { openPost } from "../raw-post.ts";
import { BOTH, noteRestart, type Row } from "../trial.ts";
import { crowdTurn } from "../turns.ts";
import { Violation } from "../violation.ts";
import type { World } from "../world.ts";

/** Children of a server that is killed are dead this much later. */
const CHILDREN_MS = 2_000;
const CLIENTS = 100;

async function listedIds({ url }: World): Promise<readonly string[]> {
  const response = await fetch(`${url}/jobs?limit=200`);
  return ((await response.json()) as { items: { id: string }[] }).items.map(({ id }) => id);
}

const duringUpload: Row = {
  name: "kill -9 API during the upload",
  stores: BOTH,
  async run(trial) {
    const world = await trial.open();
    const api = await world.startApi();
    if (world.kind === "redis") await world.startWorker();
    const post = openPost(world.url, `print(1)\n#${"x".repeat(200_000)}`);
    post.socket.on("error", () => undefined);
    post.send(0, trial.random.int(1, post.bodyLength - 1));
    await Bun.sleep(trial.random.int(0, 50));
    await api.kill9();
    post.socket.destroy();
    await world.startApi();
    const ids = await listedIds(world);
    if (ids.length > 0) throw new Violation("duplicate", "half an upload became a job");
    const job = await world.submit();
    await world.expectEnd(job, { attempts: [1, 1] });
  },
};

const submits: readonly Row[] = (
  [
    ["after the body, before the store", "store.submitOnce.before:kill"],
    ["stored, before the reply", "store.submitOnce.after:kill"],
  ] as const
).map(([when, fault]) => ({
  name: `kill -9 API: ${when}`,
  stores: BOTH,
  async run(trial) {
    const world = await trial.open();
    const doomed = await world.startApi({ FAULT: fault });
    if (world.kind === "redis") await world.startWorker();
    const submitting = world.submit();
    await doomed.exited;
    await world.startApi();
    const job = await submitting;
    // On SQLite the job may have been claimed in its first moment, by the worker that died with the API.
    await world.expectEnd(job, { attempts: [1, world.kind === "sqlite" ? 2 : 1] });
    const ids = await listedIds(world);
    if (ids.length !== 1) throw new Violation("duplicate", `one submit made ${ids.length} jobs`);
  },
}));

const manyClients: Row = {
  name: `kill -9 API while ${CLIENTS} clients stream`,
  stores: BOTH,
  run: (trial) =>
    crowdTurn(async () => {
      const world = await trial.open();
      const doomed = await world.startApi();
      if (world.kind === "redis") await world.startWorker();
      // Where it dies with the API, it must not have ended before.
      const job = await world.submit({ lines: 300, lingers: world.kind === "sqlite" ? 1 : 0 });
      let connected = 0;
      const allConnected = Promise.withResolvers<void>();
      const clients = Promise.all(
        Array.from({ length: CLIENTS }, () =>
          follow({
            url: world.url,
            path: `/jobs/${job.id}/logs/stream?attempt=all&format=json`,
            random: trial.random,
            cuts: 0.1,
            onConnected: (silentMs) => {
              if (silentMs === null) connected += 1;
              if (connected === CLIENTS) allConnected.resolve();
            },
            deadlineMs: 60_000,
          }),
        ),
      );
      clients.catch(() => undefined);
      await allConnected.promise;
      await Bun.sleep(trial.random.int(0, 500));
      await doomed.kill9();
      await world.startApi();
      await world.expectEnd(job, { attempts: world.kind === "sqlite" ? [2, 2] : [1, 1] });
      const wanted = JSON.stringify(await job.pieces);
      for (const seen of await clients)
        if (JSON.stringify(seen) !== wanted)
          throw new Violation("gap", "two clients have not seen the same");
    }),
};

const inline: Row = {
  name: "kill -9 API with the inline worker and 4 running jobs",
  stores: BOTH,
  isRecovery: true,
  async run(trial) {
    const world = await trial.open({ inline: true });
    const doomed = await world.startApi({ WORKER_CONCURRENCY: "4" });
    const submit = () => world.submit({ lines: 100, pauseMs: 15, lingers: 1 });
    const jobs = await Promise.all(Array.from({ length: 4 }, submit));
    await Promise.all(jobs.map((job) => world.untilPrinted(job)));
    if (!jobs.every((job) => world.copiesOf(job).includes(1))) throw new Error("Not all run");
    await doomed.kill9();
    await world.expectNoGuests(CHILDREN_MS);
    await world.startApi({ WORKER_CONCURRENCY: "4" });
    const backAtMs = Date.now();
    const ended = await Promise.all(jobs.map((job) => world.expectEnd(job, { attempts: [2, 2] })));
    for (const job of ended) noteRestart(trial, job, backAtMs);
  },
};

export const API_DEATH: readonly Row[] = [duringUpload, ...submits, manyClients, inline];
