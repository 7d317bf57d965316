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
  for (const name of ["jobs.sqlite", "jobs.sqlite-wal"])
    await copyFile(join(dataDir, name), join(copy, name)).catch(() => undefined);
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

/** Room for the database's own tables and a little more. */
const DISK_BYTES = 16 * 1024 * 1024;

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
    const form = new FormData();
    form.append("spec", JSON.stringify({ entry: "main.py" }));
    form.append("code_files", new Blob(["x".repeat(DISK_BYTES)]), "main.py");
    const refused = await fetch(`${world.url}/jobs`, { method: "POST", body: form });
    if (refused.status !== 507)
      throw new Error(`A full disk answered ${refused.status} ${await refused.text()}`);
    await refused.body?.cancel();
    await fillUp(`/proc/${api.pid}/root/mnt/filler`);
    const taken = await submitUntilRefused(world);
    await rm(`/proc/${api.pid}/root/mnt/filler`);
    // What was taken on a full disk is run all the same; and once there is room again, new jobs are.
    for (const each of [...taken, await world.submitPython("print(1)\n")]) {
      const { status } = await waitForEnd(world.url, each.id);
      if (status !== "succeeded") throw new Violation("loss", `job ${each.id} is ${status}`);
    }
    // Two files are copied one after the other: a checkpoint in between would make one of a state that never was.
    process.kill(api.pid, "SIGSTOP");
    await checkIntegrityOfCopy(`/proc/${api.pid}/root/mnt/jobs`);
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

/** Submits tiny jobs until one is refused for want of room. Resolves to those that were taken. */
async function submitUntilRefused({ url }: World): Promise<readonly JobJson[]> {
  const taken: JobJson[] = [];
  while (taken.length < 500) {
    const body = submissionForm({ spec: { entry: "main.py" }, code: { "main.py": "print(1)\n" } });
    const response = await fetch(`${url}/jobs`, { method: "POST", body });
    if (response.status === 507) return taken;
    if (response.status !== 202)
      throw new Error(`A full disk answered ${response.status} ${await response.text()}`);
    taken.push((await response.json()) as JobJson);
  }
  throw new Error("The disk does not fill up");
}

export const SQLITE_ROWS: readonly Row[] = [randomKills, fullDisk];
