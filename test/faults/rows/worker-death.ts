import type { JobJson } from "../../support/client.ts";
import { freePort } from "../../support/redis-server.ts";
import { poolIsFull, startsOn } from "../../support/running-pool.ts";
import { runtimeDirectoryOf, sandboxedBy } from "../guest-processes.ts";
import { noteRestart, recoveryBoundMs, type Row, type Trial } from "../trial.ts";
import { Violation } from "../violation.ts";
import type { Process, TrackedJob, World } from "../world.ts";

interface Death {
  /** Absent: on both. */
  readonly stores?: Row["stores"];
  /** How many jobs are run again then. */
  readonly reruns: readonly number[];
  /** Whether a program runs at that moment. */
  readonly isRunning: boolean;
}

const NONE = { reruns: [0], isRunning: false };
const RUN_AGAIN = { reruns: [1], isRunning: false };
const WHILE_IT_RUNS = { reruns: [1], isRunning: true };

/**
 * Every step of a worker's life at which it can die. The worker's first claim, when it starts, finds nothing. At the point it
 * freezes, so that it can be looked at, and is then killed.
 */
const DEATHS: readonly (readonly [when: string, fault: string, Death])[] = [
  ["before it claims", "store.claim.before:stop@2", NONE],
  [
    "told of its job, while the claim is being stored",
    "sandbox.start.before:stop",
    // The commit may have got as far as the disk.
    { stores: ["sqlite"], reruns: [0, 1], isRunning: false },
  ],
  ["claim sent, reply lost", "store.claim.after:stop@2", RUN_AGAIN],
  ["claimed, before spawn", "sandbox.start.before:stop", { ...RUN_AGAIN, stores: ["redis"] }],
  ["after spawn, before the first byte", "sandbox.start.after:stop", WHILE_IT_RUNS],
  ["with a batch that was not sent", "store.append.before:stop@3", WHILE_IT_RUNS],
  ["append sent, reply lost", "store.append.after:stop@2", WHILE_IT_RUNS],
  ["program ended, before finish", "store.finish.before:stop", RUN_AGAIN],
  ["finish stored, its reply and the cleaning up lost", "store.finish.after:stop", NONE],
];

const JOBS = 6;

/** Starts the API and what runs jobs, the first of which dies of `fault`. */
async function openDoomed(trial: Trial, fault: string) {
  const world = await trial.open();
  if (world.kind === "sqlite") {
    const api = await world.startApi({ FAULT: fault, WORKER_CONCURRENCY: "1" });
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

/** The first is there before the others, so that it is in its first attempt when the worker dies. */
async function submitAll(world: World, lingers: number): Promise<readonly TrackedJob[]> {
  const pauseMs = world.random.int(2, 15);
  const first = await world.submit({ pauseMs, lingers });
  const others = Array.from({ length: JOBS - 1 }, () => world.submit({ pauseMs }));
  return [first, ...(await Promise.all(others))];
}

function noteRecovery(trial: Trial, job: JobJson, diedAtMs: number): void {
  const ms = Date.parse(job.started_at ?? "") - diedAtMs;
  trial.recovered(ms);
  if (ms > recoveryBoundMs(trial.leaseMs))
    throw new Violation("loss", `job ${job.id} ran again only after ${ms} ms`);
}

const deaths: readonly Row[] = DEATHS.map(([when, fault, { stores, reruns, isRunning }]) => ({
  name: `kill -9 worker: ${when}`,
  stores: stores ?? ["sqlite", "redis"],
  isRecovery: !reruns.includes(0),
  async run(trial) {
    const { world, doomed, recover } = await openDoomed(trial, fault);
    // On SQLite the server itself may die under the submits, which are then repeated: to the one that is started next.
    const submitting = submitAll(world, isRunning ? 1 : 0);
    await untilStopped(doomed.pid);
    // Whose program runs is known by the answer to its POST, which on SQLite came before.
    if (world.kind === "redis") await submitting;
    // Its program would run for a quarter of an hour: gone is what was killed.
    if (isRunning && world.guests().length === 0) throw new Error("No program runs");
    await doomed.kill9();
    const diedAtMs = Date.now();
    await world.expectNoGuests();
    await recover();
    const backAtMs = Date.now();
    const jobs = await submitting;
    const ended = await Promise.all(jobs.map((job) => world.expectEnd(job, { attempts: [1, 2] })));
    const rerun = ended.filter(({ attempt }) => attempt === 2);
    if (isRunning && ended[0]?.attempt !== 2)
      throw new Violation("loss", "a job whose program was killed was not run again");
    // Of one worker with one slot just one job was hit.
    if (!reruns.includes(rerun.length))
      throw new Violation("duplicate", `${rerun.length} jobs were run again`);
    for (const job of rerun)
      if (world.kind === "redis") noteRecovery(trial, job, diedAtMs);
      else noteRestart(trial, job, backAtMs);
  },
}));

/** Another job waits no longer for the run that found out about the lost one. */
const UNDELAYED_MS = 2_000;

const budget: Row = {
  name: "kill -9 worker of the same job until its budget is spent",
  stores: ["sqlite", "redis"],
  async run(trial) {
    const world = await trial.open();
    const env = {
      FAULT: `store.append.after:stop@${trial.random.int(1, 4)}`,
      WORKER_CONCURRENCY: "1",
    };
    const isRemote = trial.random.next() < 0.5;
    const start = async (of: Readonly<Record<string, string>>): Promise<Process> =>
      world.kind === "sqlite"
        ? await world.startApi(of)
        : await world.startWorker(of, { isRemote });
    if (world.kind === "redis") await world.startApi();
    let runner = await start(env);
    const job = await world.submit({ lingers: 2 });
    let diedAtMs = 0;
    for (let death = 1; ; death += 1) {
      await untilStopped(runner.pid);
      if (!world.copiesOf(job).includes(death)) throw new Error(`No attempt ${death} runs`);
      await runner.kill9();
      diedAtMs = Date.now();
      await world.expectNoGuests();
      if (death === 2) break;
      runner = await start(env);
    }
    // On Redis it is the API that finds out that the job is lost: nobody else is left.
    if (world.kind === "sqlite") await start({});
    const lost = await world.expectEnd(job, { status: "lost", attempts: [2, 2] });
    const foundMs = Date.parse(lost.finished_at ?? "") - diedAtMs;
    if (foundMs > recoveryBoundMs(trial.leaseMs))
      throw new Violation("loss", `it was found to be lost only after ${foundMs} ms`);
    if (world.kind === "redis") await start({});
    const other = await world.submit();
    if (lost.reason !== "worker_lost") throw new Violation("loss", `the reason is ${lost.reason}`);
    if (lost.log.bytes === 0) throw new Violation("gap", "the log of the lost job is gone");
    const { created_at, started_at } = await world.expectEnd(other, { attempts: [1, 1] });
    const waitedMs = Date.parse(started_at ?? "") - Date.parse(created_at);
    if (waitedMs > UNDELAYED_MS) throw new Violation("loss", `another job waited ${waitedMs} ms`);
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
    const fault = trial.random.pick(FREEZES);
    const hasEnded = fault.startsWith("store.finish");
    const slow = await world.startWorker({ WORKER_CONCURRENCY: "1", FAULT: fault });
    const job = await world.submit({ lines: 120, lingers: hasEnded ? 0 : 1 });
    await untilStopped(slow.pid);
    const stoppedAtMs = Date.now();
    await world.startWorker();
    const other = await world.submit();
    await world.untilAttempt(job, 2);
    await Bun.sleep(trial.random.int(0, 600));
    if (!hasEnded && !world.copiesOf(job).includes(1)) throw new Error("The old copy is gone");
    process.kill(slow.pid, "SIGCONT");
    const resumedAtMs = performance.now();
    // What the frozen worker ran is dead a second after it is back, and nothing of it became visible.
    while (world.copiesOf(job).includes(1)) {
      if (performance.now() - resumedAtMs > 1_000)
        throw new Violation("orphan", "the old copy outlived the return of its worker");
      await Bun.sleep(20);
    }
    const ended = await world.expectEnd(job, { attempts: [2, 2] });
    noteRecovery(trial, ended, stoppedAtMs);
    await world.expectEnd(other, { attempts: [1, 1] });
  },
};

/** A name has to come up twice before an interpreter waits for the third; on a busy machine not all may be ready by then. */
const MOST_JOBS = 6;

/** Starts what runs jobs; `url` shows its metrics. */
async function startMeasured(world: World): Promise<Process & { readonly url: string }> {
  if (world.kind === "sqlite") return await world.startApi();
  const port = await freePort();
  const worker = await world.startWorker({ METRICS_PORT: String(port) });
  return { ...worker, url: `http://127.0.0.1:${port}` };
}

/** Runs jobs one after the other until one has found an interpreter that waited, and all wait again that are to. */
async function untilOneHasWaited(world: World, metricsUrl: string): Promise<void> {
  for (let jobs = 0; jobs < MOST_JOBS; jobs += 1) {
    const job = await world.submit({ lines: 3 });
    await world.expectEnd(job, { attempts: [1, 1] });
    await poolIsFull(metricsUrl);
    if ((await startsOn(metricsUrl, "interpreter")) > 0) return;
  }
  throw new Error(`None of ${MOST_JOBS} jobs has found an interpreter that waited`);
}

const ahead: Row = {
  name: "kill -9 worker while sandboxes wait for jobs",
  stores: ["sqlite", "redis"],
  async run(trial) {
    const world = await trial.open();
    if (world.kind === "redis") await world.startApi();
    const doomed = await startMeasured(world);
    await untilOneHasWaited(world, doomed.url);
    const directory = runtimeDirectoryOf(doomed.pid);
    if (
      directory === null ||
      !sandboxedBy([directory]).some(({ command }) => /python/.test(command))
    )
      throw new Error("No interpreter waits");
    await doomed.kill9();
    await world.expectNoGuests();
    const heir = await startMeasured(world);
    await untilOneHasWaited(world, heir.url);
  },
};

export const WORKER_DEATH: readonly Row[] = [...deaths, budget, ahead, frozen];

/** Waits for state T of proc(5); Bun tells a parent of a child's end, not of its stop. */
async function untilStopped(pid: number): Promise<void> {
  for (;;) {
    const stat = await Bun.file(`/proc/${pid}/stat`).text();
    if (stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3) === "T") return;
    await Bun.sleep(5);
  }
}
