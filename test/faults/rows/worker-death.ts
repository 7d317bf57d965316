import type { JobJson } from "../../support/client.ts";
import type { Row, Trial } from "../trial.ts";
import { Violation } from "../violation.ts";
import type { TrackedJob, World } from "../world.ts";

/** From its worker's death until a job runs again, or has ended: lease + sweep + 1 s (store.ts, I4). */
const recoveryBoundMs = (leaseMs: number) => leaseMs + 2_000 + 1_000;

/**
 * Every step of a worker's life at which it can die, and whether the job is run again then. Its first claim, when it
 * starts, finds nothing.
 */
const DEATHS = [
  ["before it claims", "store.claim.before:kill@2", false],
  ["claim sent, reply lost", "store.claim.after:kill@2", true],
  ["claimed, before spawn", "sandbox.start.before:kill", true],
  ["after spawn, before the first byte", "sandbox.start.after:kill", true],
  ["with a batch that was not sent", "store.append.before:kill@3", true],
  ["append sent, reply lost", "store.append.after:kill@2", true],
  ["program ended, before finish", "store.finish.before:kill", true],
  ["finish sent, reply lost", "store.finish.after:kill", false],
] as const;

const JOBS = 6;

/** Starts the API and what runs jobs, the first of which dies of `fault`. */
async function openDoomed(trial: Trial, fault: string) {
  const world = await trial.open();
  if (world.kind === "sqlite") {
    const api = await world.startApi({ FAULT: fault, WORKER_CONCURRENCY: "4" });
    return { world, doomed: api, recover: async () => void (await world.startApi()) };
  }
  await world.startApi();
  const isRemote = trial.random.next() < 0.5;
  const [doomed, heir] = await Promise.all([
    world.startWorker({ FAULT: fault, WORKER_CONCURRENCY: "1" }, { isRemote }),
    world.startWorker({ WORKER_CONCURRENCY: String(JOBS) }),
  ]);
  // Frozen, so that it is the doomed one that claims.
  process.kill(heir.pid, "SIGSTOP");
  return { world, doomed, recover: async () => void process.kill(heir.pid, "SIGCONT") };
}

async function submitAll(world: World, count: number): Promise<TrackedJob[]> {
  const pauseMs = world.random.int(2, 15);
  return await Promise.all(Array.from({ length: count }, () => world.submit({ pauseMs })));
}

function noteRecovery(trial: Trial, job: JobJson, diedAtMs: number): void {
  const ms = Date.parse(job.started_at ?? "") - diedAtMs;
  trial.recovered(ms);
  if (ms > recoveryBoundMs(trial.leaseMs))
    throw new Violation("loss", `job ${job.id} ran again only after ${ms} ms`);
}

const deaths: readonly Row[] = DEATHS.map(([when, fault, isRunAgain]) => ({
  name: `kill -9 worker: ${when}`,
  stores: ["sqlite", "redis"],
  isRecovery: isRunAgain,
  async run(trial) {
    const { world, doomed, recover } = await openDoomed(trial, fault);
    // On SQLite the server itself may die under the submits, which are then repeated: to the one that is started next.
    const submitting = submitAll(world, JOBS);
    await doomed.exited;
    const diedAtMs = Date.now();
    await recover();
    const jobs = await submitting;
    const ended = await Promise.all(jobs.map((job) => world.expectEnd(job, { attempts: [1, 2] })));
    const rerun = ended.filter(({ attempt }) => attempt === 2);
    // Of one worker with one slot just one job was hit; a whole server had up to four in every state.
    if (world.kind === "redis" && rerun.length !== (isRunAgain ? 1 : 0))
      throw new Violation("duplicate", `${rerun.length} jobs were run again`);
    if (world.kind === "redis") for (const job of rerun) noteRecovery(trial, job, diedAtMs);
  },
}));

const budget: Row = {
  name: "kill -9 worker of the same job until its budget is spent",
  stores: ["sqlite", "redis"],
  async run(trial) {
    const world = await trial.open();
    const fault = { FAULT: `store.append.after:kill@${trial.random.int(1, 4)}` };
    let runner = world.kind === "sqlite" ? await world.startApi(fault) : await world.startApi();
    const isAlone = { WORKER_CONCURRENCY: "1" };
    if (world.kind === "redis")
      runner = { ...runner, ...(await world.startWorker({ ...fault, ...isAlone })) };
    const job = await world.submit();
    await runner.exited;
    if (world.kind === "sqlite") await (await world.startApi(fault)).exited;
    else await (await world.startWorker({ ...fault, ...isAlone })).exited;
    // Somebody has to find out that it is lost, and takes the next job at once.
    if (world.kind === "sqlite") await world.startApi();
    else await world.startWorker();
    const other = await world.submit();
    const lost = await world.expectEnd(job, { status: "lost", attempts: [2, 2] });
    if (lost.reason !== "worker_lost") throw new Violation("loss", `the reason is ${lost.reason}`);
    if (lost.log.bytes === 0) throw new Violation("gap", "the log of the lost job is gone");
    await world.expectEnd(other, { attempts: [1, 1] });
  },
};

/** Where it is frozen: with output that it has not sent, or with the end that it is about to store. */
const FREEZES = [
  "store.append.after:stop@2",
  "store.append.before:stop@5",
  "store.finish.before:stop",
];

const frozen: Row = {
  name: "SIGSTOP worker until its job runs elsewhere, SIGCONT",
  stores: ["redis"],
  isRecovery: true,
  async run(trial) {
    const world = await trial.open();
    await world.startApi();
    const slow = await world.startWorker({
      WORKER_CONCURRENCY: "1",
      FAULT: trial.random.pick(FREEZES),
    });
    const job = await world.submit({ lines: 120 });
    await untilStopped(slow.pid);
    const stoppedAtMs = Date.now();
    await world.startWorker();
    const other = await world.submit();
    await world.untilAttempt(job, 2);
    await Bun.sleep(trial.random.int(0, 600));
    process.kill(slow.pid, "SIGCONT");
    const resumedAtMs = performance.now();
    // What the frozen worker ran is dead a second after it is back, and nothing of it became visible.
    while (world.copiesOf(job).includes(1)) {
      if (performance.now() - resumedAtMs > 1_500)
        throw new Violation("orphan", "the old copy outlived the return of its worker");
      await Bun.sleep(20);
    }
    const ended = await world.expectEnd(job, { attempts: [2, 2] });
    noteRecovery(trial, ended, stoppedAtMs);
    await world.expectEnd(other, { attempts: [1, 1] });
  },
};

export const WORKER_DEATH: readonly Row[] = [...deaths, budget, frozen];

/** Waits for state T of proc(5); no event tells a process that is not the parent. */
async function untilStopped(pid: number): Promise<void> {
  for (;;) {
    const stat = await Bun.file(`/proc/${pid}/stat`).text();
    if (stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3) === "T") return;
    await Bun.sleep(5);
  }
}
