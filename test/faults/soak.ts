import { parseArgs } from "node:util";

import { getJob, type JobJson, snapshot } from "../support/client.ts";
import { commit } from "./commit.ts";
import { peakResidentBytes } from "./memory.ts";
import { createRandom } from "./random.ts";
import { type Process, World } from "./world.ts";

/*
 * Many jobs through three workers, while every two seconds one process is killed and started again: a worker, the API, or
 * Redis (appendfsync always). Every job must end once, with an exact log.
 *   bun run soak [--jobs 10000] [--seed 1]
 */

const { values } = parseArgs({
  options: {
    jobs: { type: "string", default: "10000" },
    seed: { type: "string", default: "1" },
  },
});
const JOBS = Number(values.jobs);
const KILL_INTERVAL_MS = 2_000;
const SUBMITTERS = 6;
const LINES = 8;
const MIB = 1024 * 1024;
/** What a process may grow to; with what it would keep of each job it would pass it. */
const MAX_RSS_BYTES = 400 * MIB;

const PROGRAM = `i=0
while [ $i -lt ${LINES} ]; do
  echo "$JOB_ATTEMPT $1 $i"
  echo "$JOB_ATTEMPT $1 $i is an error" >&2
  i=$((i + 1))
done
`;

function expected(key: string, attempt: number, stream: "stdout" | "stderr"): string {
  const line = (i: number) =>
    `${attempt} ${key} ${i}${stream === "stderr" ? " is an error" : ""}\n`;
  return Array.from({ length: LINES }, (_, i) => line(i)).join("");
}

const random = createRandom(Number(values.seed));
const world = await World.open("redis", random, {
  leaseMs: 15_000,
  redis: { appendFsync: "always" },
});

interface Role {
  readonly name: string;
  process: Process;
  readonly start: () => Promise<Process>;
  peakBytes: number;
}

async function startRole(name: string, start: () => Promise<Process>): Promise<Role> {
  return { name, process: await start(), start, peakBytes: 0 };
}

const startWorker = () => world.startWorker({ WORKER_CONCURRENCY: "3" });
const roles = await Promise.all([
  startRole("API", () => world.startApi()),
  ...[1, 2, 3].map((number) => startRole(`worker ${number}`, startWorker)),
]);

/** The most that a process has had in memory so far; 0 for one that is dying, or gone. */
function peakBytesOf(pid: number): number {
  try {
    return peakResidentBytes(pid);
  } catch {
    return 0;
  }
}

/** Redis keeps all jobs and their logs, so it has no bound here; its size is printed. */
let redisPeakBytes = 0;

function noteMemory(): void {
  for (const role of roles)
    role.peakBytes = Math.max(role.peakBytes, peakBytesOf(role.process.pid));
  redisPeakBytes = Math.max(redisPeakBytes, peakBytesOf(world.redis?.pid() ?? 0));
}

const kills = new Map<string, number>();
let isOver = false;

/** One of the five at a time, which is back before the next. */
async function killAgainAndAgain(): Promise<void> {
  while (!isOver) {
    await Bun.sleep(KILL_INTERVAL_MS);
    const role = roles[random.int(0, roles.length)];
    const name = role?.name ?? "redis";
    kills.set(name, (kills.get(name) ?? 0) + 1);
    if (role === undefined) {
      await world.redis?.kill9();
      await world.redis?.restart();
    } else {
      noteMemory();
      await role.process.kill9();
      role.process = await role.start();
    }
  }
}

const ids = new Map<string, string>();
let submitted = 0;

async function submitAll(): Promise<void> {
  while (submitted < JOBS) {
    submitted += 1;
    const key = `job-${submitted}`;
    const { id } = await world.submitOnce(`${values.seed}-${key}`, {
      spec: { entry: "main.sh", runtime: "sh", args: [key] },
      code: { "main.sh": PROGRAM },
    });
    ids.set(key, id);
  }
}

/** The record of an ended job. Waits for its end by its stream, over as many connections as it takes. */
async function endOf(id: string): Promise<JobJson> {
  for (;;) {
    const job = await getJob(world.url, id).catch(() => null);
    if (job !== null && job.finished_at !== null) return job;
    await fetch(`${world.url}/jobs/${id}/logs/stream`)
      .then((response) => response.text())
      .catch(() => Bun.sleep(100));
  }
}

const problems: string[] = [];
const statuses = new Map<string, number>();
let rerun = 0;

async function check(key: string, id: string): Promise<void> {
  const job = await getJob(world.url, id);
  statuses.set(job.status, (statuses.get(job.status) ?? 0) + 1);
  if (job.attempt > 1) rerun += 1;
  const stream = await (await fetch(`${world.url}/jobs/${id}/logs/stream?attempt=all`)).text();
  const ends = stream.match(/^event: end$/gm)?.length ?? 0;
  if (ends !== 1) problems.push(`${key}: ${ends} ends`);
  if (job.status !== "succeeded" && job.status !== "lost") problems.push(`${key}: ${job.status}`);
  if (job.status === "lost" && job.attempt < 2) problems.push(`${key}: lost too soon`);
  for (const name of ["stdout", "stderr"] as const) {
    const found = (await snapshot(world.url, id, `?stream=${name}`)).toString();
    const wanted = expected(key, job.attempt, name);
    const isExact = job.status === "succeeded" ? found === wanted : wanted.startsWith(found);
    if (!isExact) problems.push(`${key}: ${name} is ${JSON.stringify(found)}`);
  }
}

async function eachOf<T>(items: readonly T[], step: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const take = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await step(next);
  };
  await Promise.all(Array.from({ length: 8 }, take));
}

async function listedCount(): Promise<number> {
  let count = 0;
  for (let cursor = ""; ;) {
    const page = (await (await fetch(`${world.url}/jobs?limit=200${cursor}`)).json()) as {
      items: unknown[];
      next_cursor: string | null;
    };
    count += page.items.length;
    if (page.next_cursor === null) return count;
    cursor = `&cursor=${page.next_cursor}`;
  }
}

const startedAtMs = performance.now();
const killing = killAgainAndAgain();
const watching = setInterval(noteMemory, 200);
await Promise.all(Array.from({ length: SUBMITTERS }, submitAll));
await eachOf([...ids.values()], async (id) => void (await endOf(id)));
isOver = true;
await killing;
clearInterval(watching);
const seconds = (performance.now() - startedAtMs) / 1000;
await eachOf([...ids], ([key, id]) => check(key, id));
const count = await listedCount();
if (count !== JOBS) problems.push(`${count} jobs are listed, not ${JOBS}`);
for (const { name, peakBytes } of roles)
  if (peakBytes > MAX_RSS_BYTES)
    problems.push(`${name} grew to ${Math.round(peakBytes / MIB)} MiB`);
await world.close({ hasFailed: false });

const list = (counts: ReadonlyMap<string, number>) =>
  [...counts].map(([name, number]) => `${name} ${number}`).join(", ");
console.log(
  `${commit()}: ${JOBS} jobs in ${seconds.toFixed(0)} s: ${list(statuses)}; ${rerun} were run again`,
);
console.log(`kills: ${list(kills)}`);
const peaks = [...roles, { name: "redis", peakBytes: redisPeakBytes }];
console.log(
  `peak memory: ${list(new Map(peaks.map(({ name, peakBytes }) => [name, Math.round(peakBytes / MIB)])))} (MiB)`,
);
for (const problem of problems.slice(0, 20)) console.log(`PROBLEM ${problem}`);
console.log(
  problems.length === 0
    ? "every job ended once, every log is exact"
    : `${problems.length} problems`,
);
process.exit(problems.length === 0 ? 0 : 1);
