import { existsSync } from "node:fs";
import { copyFile, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

import { getJob, type JobJson, submissionForm, waitForEnd } from "../../support/client.ts";
import { ROOT } from "../../support/service.ts";
import type { Row } from "../trial.ts";
import { Violation } from "../violation.ts";
import type { TrackedJob, World } from "../world.ts";

const SQLITE = ["sqlite"] as const;
const KILLS = 5;

function checkIntegrity(path: string): void {
  const database = new DatabaseSync(path);
  const answer = database.prepare("PRAGMA integrity_check").get();
  database.close();
  if (answer?.["integrity_check"] !== "ok")
    throw new Violation("loss", `integrity_check: ${JSON.stringify(answer)}`);
}

/** Of a copy: the data of a server that is stopped or dead, which the next one shall find as it was left. */
async function checkIntegrityOfCopy(dataDir: string): Promise<void> {
  const copy = await mkdtemp(join(tmpdir(), "job-runner-copy-"));
  await copyFile(join(dataDir, "jobs.sqlite"), join(copy, "jobs.sqlite"));
  // There is none after an orderly close.
  const wal = "jobs.sqlite-wal";
  if (existsSync(join(dataDir, wal))) await copyFile(join(dataDir, wal), join(copy, wal));
  checkIntegrity(join(copy, "jobs.sqlite"));
  await rm(copy, { recursive: true });
}

const randomKills: Row = {
  name: `kill -9 at ${KILLS} random moments under load`,
  stores: SQLITE,
  async run(trial) {
    const world = await trial.open();
    const acknowledged: TrackedJob[] = [];
    let isOver = false;
    const submitters = Array.from({ length: 3 }, async () => {
      while (!isOver) acknowledged.push(await world.submit({ lines: 10, pauseMs: 5 }));
    });
    for (let kill = 0; kill < KILLS; kill += 1) {
      const api = await world.startApi({ WORKER_CONCURRENCY: "3" });
      await Bun.sleep(trial.random.int(20, 400));
      isOver = kill === KILLS - 1;
      await api.kill9();
      await checkIntegrityOfCopy(world.dataDir);
    }
    await world.startApi({ WORKER_CONCURRENCY: "3" });
    await Promise.all(submitters);
    for (const job of acknowledged) {
      // A job may have met two of the kills, which is its budget.
      await job.pieces;
      const ended = await getJob(world.url, job.id);
      await world.expectEnd(job, { status: ended.status, attempts: [1, 2] });
      if (ended.status !== "succeeded" && ended.reason !== "worker_lost")
        throw new Violation("loss", `job ${job.id} is ${ended.status}, ${ended.reason}`);
    }
    await checkIntegrityOfCopy(world.dataDir);
  },
};

const MIB = 1024 * 1024;
/** Room for the database's own tables, for what others have there, and a little more. */
const DISK_BYTES = 20 * MIB;
const OTHERS_BYTES = 4 * MIB;

const fullDisk: Row = {
  name: "disk full while jobs run",
  stores: SQLITE,
  async run(trial) {
    const world = await trial.open();
    const prefix = ["bwrap", "--dev-bind", "/", "/", "--size", String(DISK_BYTES), "--tmpfs"];
    const api = await world.startApi(
      { WORKER_CONCURRENCY: "2", JOB_DATA_DIR: "/mnt/jobs" },
      { prefix: [...prefix, "/mnt", "--"], root: ROOT, bun: process.execPath },
    );
    const disk = `/proc/${api.pid}/root/mnt`;
    await Bun.write(`${disk}/others`, new Uint8Array(OTHERS_BYTES));
    const flood = `import sys
line = "x" * 99 + "\\n"
for _ in range(${trial.random.int(120_000, 150_000)}): sys.stdout.write(line)
`;
    const { id } = await world.submitPython(flood);
    const stream = await (await fetch(`${world.url}/jobs/${id}/logs/stream`)).text();
    if (!/event: gap\n/.test(stream) || !/event: end\n/.test(stream))
      throw new Violation("loss", `a job on a full disk: ${stream.slice(-300)} ${api.output()}`);
    const job = await getJob(world.url, id);
    const kept = (await (await fetch(`${world.url}/jobs/${id}/logs`)).arrayBuffer()).byteLength;
    if (job.status !== "succeeded" || job.log.dropped_bytes === 0 || kept !== job.log.bytes)
      throw new Violation("gap", `${kept} bytes of ${JSON.stringify(job)}`);
    const code = { "main.py": "x".repeat(DISK_BYTES) };
    const form = submissionForm({ spec: { entry: "main.py" }, code });
    const refused = await fetch(`${world.url}/jobs`, { method: "POST", body: form });
    if (refused.status !== 507)
      throw new Error(`A full disk answered ${refused.status} ${await refused.text()}`);
    await refused.body?.cancel();
    await fillUp(`${disk}/filler`);
    const taken = await submitUntilRefused(world);
    for (const name of ["filler", "others"]) await rm(`${disk}/${name}`);
    // What was taken on a full disk is run all the same; and once there is room again, new jobs are.
    for (const each of [...taken, await submitUntilTaken(world)]) {
      const { status } = await waitForEnd(world.url, each.id);
      if (status !== "succeeded") throw new Violation("loss", `job ${each.id} is ${status}`);
    }
    // Two files are copied one after the other: a checkpoint in between would make one of a state that never was.
    process.kill(api.pid, "SIGSTOP");
    await checkIntegrityOfCopy(`${disk}/jobs`);
  },
};

/** Takes all room that the disk still has. */
async function fillUp(path: string): Promise<void> {
  const file = await open(path, "w");
  try {
    for (const block = new Uint8Array(4_096); ;) await file.write(block);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
  } finally {
    await file.close();
  }
}

async function submitTiny({ url }: World): Promise<JobJson | "full"> {
  const body = submissionForm({ spec: { entry: "main.py" }, code: { "main.py": "print(1)\n" } });
  const response = await fetch(`${url}/jobs`, { method: "POST", body });
  if (response.status === 202) return (await response.json()) as JobJson;
  const text = await response.text();
  if (response.status !== 507) throw new Error(`A full disk answered ${response.status} ${text}`);
  return "full";
}

/** Submits tiny jobs until one is refused for want of room. Resolves to those that were taken. */
async function submitUntilRefused(world: World): Promise<readonly JobJson[]> {
  const taken: JobJson[] = [];
  while (taken.length < 500) {
    const answer = await submitTiny(world);
    if (answer === "full") return taken;
    taken.push(answer);
  }
  throw new Error("The disk does not fill up");
}

/** The store looks for room again every two seconds (src/store/sqlite/reserve.ts). */
async function submitUntilTaken(world: World): Promise<JobJson> {
  const givesUpAtMs = performance.now() + 5_000;
  for (;;) {
    const answer = await submitTiny(world);
    if (answer !== "full") return answer;
    if (performance.now() > givesUpAtMs) throw new Violation("loss", "The disk stays full");
    await Bun.sleep(200);
  }
}

export const SQLITE_ROWS: readonly Row[] = [randomKills, fullDisk];
