import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Redis } from "ioredis";

import { ROOT } from "../support/service.ts";
import { CONNECTED, type CrowdOptions, type CrowdReport } from "./crowd.ts";
import { peakResidentBytes } from "./memory.ts";
import { createRandom } from "./random.ts";
import { TEST_LEASE_MS } from "./trial.ts";
import { World } from "./world.ts";

/*
 * One round of the proof that a restart of the API costs its clients nothing but time: a crowd follows a few running jobs
 * on Redis, the API process dies in one of two ways, and another is started on the same port.
 */

export interface RoundOptions {
  readonly fault: "SIGTERM" | "SIGKILL";
  readonly clients: number;
  /** Processes that the clients are spread over. */
  readonly crowds: number;
  readonly jobs: number;
  /** Of each job, in each of its two streams. */
  readonly lines: number;
  /** The longest pause between two writes of a job. */
  readonly pauseMs: number;
  /** How long all clients watch before the fault. */
  readonly watchMs: number;
}

export interface RoundReport {
  readonly crowd: CrowdReport;
  /** From the signal until the old API was gone, and from then until the new one listened. */
  readonly stopMs: number;
  readonly startMs: number;
  /** The most memory that an API process has had: idle, with all clients before the fault, and at the end of the round. */
  readonly idleBytes: number;
  readonly peakBytes: readonly [before: number, after: number];
  /** In the logs of the jobs, and how often the store was asked for entries. */
  readonly entries: number;
  readonly reads: number;
  readonly seconds: number;
}

const DEADLINE_MS = 180_000;

/** Throws a Violation of the jobs themselves; what clients met is in the report. */
export async function runRound(options: RoundOptions): Promise<RoundReport> {
  const startedAtMs = performance.now();
  const world = await World.open("redis", createRandom(1), { leaseMs: TEST_LEASE_MS });
  let hasFailed = true;
  try {
    const first = await world.startApi();
    const idleBytes = peakResidentBytes(first.pid);
    await world.startWorker({ WORKER_CONCURRENCY: String(options.jobs) });
    const { lines, pauseMs } = options;
    const oracle = { lines, pauseMs, spec: { timeout_sec: DEADLINE_MS / 1000 } };
    const jobs = await Promise.all(
      Array.from({ length: options.jobs }, () => world.submit(oracle)),
    );
    const crowds = startCrowds(
      world,
      options,
      jobs.map(({ id }) => id),
    );
    await Promise.all(crowds.map(({ connected }) => connected));
    await delay(options.watchMs);
    const peakBefore = peakResidentBytes(first.pid);
    const killedAtMs = performance.now();
    process.kill(first.pid, options.fault);
    await first.exited;
    const goneAtMs = performance.now();
    const second = await world.startApi();
    const startMs = performance.now() - goneAtMs;
    const crowd = merged(await Promise.all(crowds.map(({ report }) => report)));
    for (const job of jobs) await world.expectEnd(job, { attempts: [1, 1] });
    hasFailed = crowd.failures.length > 0;
    return {
      crowd,
      idleBytes,
      stopMs: goneAtMs - killedAtMs,
      startMs,
      peakBytes: [peakBefore, peakResidentBytes(second.pid)],
      ...(await storeCounts(world, jobs)),
      seconds: (performance.now() - startedAtMs) / 1000,
    };
  } finally {
    await world.close({ hasFailed });
  }
}

function startCrowds(world: World, options: RoundOptions, jobIds: readonly string[]) {
  const clients = Math.ceil(options.clients / options.crowds);
  const crowd: CrowdOptions = { url: world.url, jobIds, clients, deadlineMs: DEADLINE_MS };
  return Array.from({ length: options.crowds }, () => {
    const child = Bun.spawn(
      [process.execPath, "run", join(ROOT, "test/faults/crowd.ts"), JSON.stringify(crowd)],
      {
        // Bun's fetch makes 256 connections at once if nobody asks for more.
        env: { ...process.env, BUN_CONFIG_MAX_HTTP_REQUESTS: String(clients + 50) },
        stdin: "ignore",
        stderr: "inherit",
      },
    );
    const connected = Promise.withResolvers<void>();
    const report = (async () => {
      let text = "";
      for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        if (text.includes(CONNECTED)) connected.resolve();
      }
      return JSON.parse(text.trim().split("\n").at(-1) ?? "") as CrowdReport;
    })();
    report.catch(connected.reject);
    return { connected: connected.promise, report };
  });
}

function merged(reports: readonly CrowdReport[]): CrowdReport {
  return {
    failures: reports.flatMap(({ failures }) => failures),
    connections: reports.reduce((total, { connections }) => total + connections, 0),
    silencesMs: reports.flatMap(({ silencesMs }) => silencesMs),
  };
}

/** What the server has counted since it was started, for this round alone. */
async function storeCounts(
  world: World,
  jobs: readonly { readonly id: string }[],
): Promise<Pick<RoundReport, "entries" | "reads">> {
  const raw = new Redis(world.redis?.url ?? "");
  const lengths = await Promise.all(jobs.map(({ id }) => raw.xlen(`{jr}:log:${id}`)));
  const [, reads] = /cmdstat_xrange:calls=(\d+)/.exec(await raw.info("commandstats")) ?? [];
  raw.disconnect();
  return { entries: lengths.reduce((total, length) => total + length, 0), reads: Number(reads) };
}
