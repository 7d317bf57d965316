import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { dirname } from "node:path";

import { fewProcesses } from "../programs/warm/few-processes.ts";
import { javascriptModules } from "../programs/warm/javascript-modules.ts";
import { javascriptRuns } from "../programs/warm/javascript-runs.ts";
import { pythonArchives } from "../programs/warm/python-archives.ts";
import { pythonEnds } from "../programs/warm/python-ends.ts";
import { pythonLibraries } from "../programs/warm/python-libraries.ts";
import { pythonLimits } from "../programs/warm/python-limits.ts";
import { pythonModules } from "../programs/warm/python-modules.ts";
import { pythonStart } from "../programs/warm/python-start.ts";
import { pythonStreams } from "../programs/warm/python-streams.ts";
import { shell } from "../programs/warm/shell.ts";
import { programsOf, type WarmProgram } from "../programs/warm/warm-program.ts";
import { type JobJson, snapshot, submit, waitForEnd } from "../support/client.ts";
import { poolIsFull, startsOn } from "../support/running-pool.ts";
import { type RunningService, startService } from "../support/service.ts";

/*
 * The same programs on two services, one of which starts nothing ahead. One job runs at a time, and the next comes only
 * once all waits that will, so that the pool starts it on what it is to be tried on.
 */

const PROGRAMS: readonly WarmProgram[] = [
  ...pythonStart,
  ...pythonStreams,
  ...pythonEnds,
  ...pythonLibraries,
  ...pythonModules,
  ...pythonArchives,
  ...pythonLimits,
  ...javascriptModules,
  ...javascriptRuns,
  ...shell,
  ...fewProcesses,
];
/** An interpreter waits for a name that has come up twice. */
const MOST_RUNS = 3;
/** Before any process of these tests. */
const BEGUN_AT_MS = Date.now();

let cold: RunningService;
let warm: RunningService;
beforeAll(async () => {
  [cold, warm] = await Promise.all([
    start({ WARM_POOL_MB: "0", SANDBOX_UIDS: "42001-42099" }),
    start({ WARM_POOL_MB: "1024", SANDBOX_UIDS: "42101-42299" }),
  ]);
}, 30_000);
afterAll(async () => {
  for (const service of [cold, warm]) {
    await service.stop();
    await rm(dirname(service.dataDir), { recursive: true });
  }
});

function start(env: Readonly<Record<string, string>>): Promise<RunningService> {
  return startService({ env: { ...env, WORKER_CONCURRENCY: "1" } });
}

/** All that a client sees of a run, but its times and what differs from one to the next: its id, and addresses. */
async function run(url: string, { spec, files }: WarmProgram) {
  const { id } = await submit(url, { spec, code: files });
  const job = await waitForEnd(url, id);
  const read = async (stream: string) =>
    (await snapshot(url, id, `?stream=${stream}`))
      .toString()
      .replaceAll(id, "JOB_ID")
      .replaceAll(/0x[0-9a-f]+|job-runner-\w{6}/g, "...");
  return { ...endOf(job), stdout: await read("stdout"), stderr: await read("stderr") };
}

function endOf({
  status,
  reason,
  exit_code,
  signal,
  oom,
  error,
  warnings,
  log,
  artifacts,
}: JobJson) {
  const files = artifacts.map(({ name, size, sha256 }) => ({ name, size, sha256 }));
  return { status, reason, exit_code, signal, oom, error, warnings, log, files };
}

/** The program on what waits for such as it, for which it may have to come up a few times. */
async function runWarm(program: WarmProgram) {
  for (let runs = 0; runs < MOST_RUNS; runs += 1) {
    await poolIsFull(warm.url);
    const before = await startsOn(warm.url, program.on);
    const result = await run(warm.url, program);
    if ((await startsOn(warm.url, program.on)) > before) return result;
  }
  throw new Error(`The pool did not start it on the ${program.on} in ${MOST_RUNS} runs`);
}

test("there are enough of them, each under a name of its own", () => {
  expect(PROGRAMS.length).toBeGreaterThanOrEqual(40);
  expect(new Set(PROGRAMS.map(({ name }) => name)).size).toBe(PROGRAMS.length);
});

/** Print one thing a line that no two programs may have in common. */
const DICE: readonly WarmProgram[] = [
  programsOf("main.py")(
    "dice",
    "",
    `import os, random, secrets, tempfile, uuid
for each in (random.random(), random.Random().random(), hash("x"), os.urandom(8), secrets.token_hex(), uuid.uuid4(), tempfile.mkdtemp()): print(each)`,
  ),
  programsOf("main.js")(
    "dice",
    "",
    `const crypto = require("crypto");
for (const each of [Math.random(), crypto.randomUUID(), crypto.randomBytes(8).toString("hex"), crypto.getRandomValues(new Uint32Array(4)).join()]) console.log(each);`,
  ),
];

test("two that waited have nothing random in common", async () => {
  for (const program of DICE) {
    const first = (await runWarm(program)).stdout.split("\n").filter(Boolean);
    const second = (await runWarm(program)).stdout.split("\n");
    expect(first.length).toBeGreaterThanOrEqual(4);
    expect(first.filter((each) => second.includes(each))).toEqual([]);
  }
});

// That a program runs alike would be no wonder if its interpreter had begun anew each time. Two things tell.
test("a program of Python runs in the interpreter that waited", async () => {
  const program = programsOf("main.py")(
    "whether it waited",
    "",
    "import gc, sys\nprint(gc.get_freeze_count() > 0, 'json' in sys.modules)",
  );
  expect((await run(cold.url, program)).stdout).toBe("False False\n");
  expect((await runWarm(program)).stdout).toBe("True True\n");
});

test("a program of node runs in the interpreter that waited", async () => {
  const program = programsOf("main.js")(
    "whether it waited",
    "",
    "console.log(performance.timeOrigin)",
  );
  const beforeColdMs = Date.now();
  expect(Number((await run(cold.url, program)).stdout)).toBeGreaterThan(beforeColdMs);
  await runWarm(program);
  await poolIsFull(warm.url);
  const beforeWarmMs = Date.now();
  expect(Number((await run(warm.url, program)).stdout)).toBeWithin(BEGUN_AT_MS, beforeWarmMs);
});

describe("a program cannot tell whether it waited:", () => {
  for (const program of PROGRAMS)
    test(
      program.name,
      async () => {
        const [expected, seen] = await Promise.all([run(cold.url, program), runWarm(program)]);
        expect(seen).toEqual(expected);
        expect(`${expected.stdout}${expected.stderr}`).toContain(program.shows);
      },
      20_000,
    );
});
