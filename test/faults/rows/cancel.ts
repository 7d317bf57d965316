import { snapshot } from "../../support/client.ts";
import type { Row } from "../trial.ts";
import { Violation } from "../violation.ts";

const JOBS = 8;

/** The jobs are cancelled at moments from before their claim until after their end. */
const racing: Row = {
  name: "cancel racing claim, run and finish",
  stores: ["sqlite", "redis"],
  async run(trial) {
    const world = await trial.open();
    const env = { WORKER_CONCURRENCY: "3" };
    await world.startApi(env);
    if (world.kind === "redis") await world.startWorker(env);
    const submit = () => world.submit({ lines: 10, pauseMs: trial.random.int(0, 10) });
    const jobs = await Promise.all(Array.from({ length: JOBS }, submit));
    await Promise.all(
      jobs.map(async (job) => {
        await Bun.sleep(trial.random.int(0, 500));
        const times = trial.random.int(1, 3);
        const cancel = () => fetch(`${world.url}/jobs/${job.id}/cancel`, { method: "POST" });
        const answers = await Promise.all(Array.from({ length: times }, cancel));
        for (const { status } of answers)
          if (status !== 200 && status !== 202) throw new Error(`A cancel answered ${status}`);
      }),
    );
    for (const job of jobs) {
      const [end] = (await job.pieces).slice(-1);
      const { status } = JSON.parse(end?.data ?? "{}") as { status?: string };
      if (status !== "succeeded" && status !== "cancelled")
        throw new Violation("loss", `job ${job.id} ended as ${status}`);
      const ended = await world.expectEnd(job, { status, attempts: [0, 1] });
      if (ended.attempt === 0 && (await snapshot(world.url, job.id)).length > 0)
        throw new Violation("duplicate", `job ${job.id} never ran, and has printed`);
    }
  },
};

export const CANCEL: readonly Row[] = [racing];
