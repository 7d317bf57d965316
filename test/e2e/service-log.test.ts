import { afterAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import {
  getJob,
  type JobJson,
  submissionForm,
  submitPython,
  waitForEnd,
} from "../support/client.ts";
import { type LoggedLine, parseLog } from "../support/recorded-log.ts";
import { hasRedisServer, startRedisServer } from "../support/redis-server.ts";
import {
  freshDataDir,
  removeDataDir,
  ROOT,
  type RunningService,
  type ServiceOptions,
  startService,
} from "../support/service.ts";

/* What the service says of itself on stderr: a line of JSON per event, and of a job's life only to those who ask. */

const SECRET = "hunter2";
const dataDirs: string[] = [];
afterAll(() => Promise.all(dataDirs.map(removeDataDir)));

async function start(env: ServiceOptions["env"] = {}): Promise<RunningService> {
  const service = await startService({ env });
  dataDirs.push(service.dataDir);
  return service;
}

const eventsOf = (lines: readonly LoggedLine[]) => lines.map(({ event }) => event);

/** Submits a job full of secrets, follows it to its end, and gives it with the epoch of its run. */
async function runJob({ url }: RunningService, headers: Readonly<Record<string, string>>) {
  const body = submissionForm({
    spec: { entry: "main.sh", args: [SECRET], env: { TOKEN: SECRET }, stdin: SECRET },
    code: { "main.sh": `echo ${SECRET}; exit 3` },
  });
  const answer = await fetch(`${url}/jobs`, { method: "POST", headers, body });
  const { id } = (await answer.json()) as JobJson;
  const stream = await fetch(`${url}/jobs/${id}/logs/stream`, { headers });
  const epoch = Number(/^id: (\d+)-/m.exec(await stream.text())?.[1]);
  return { id, epoch };
}

test("at debug a job's life is told with its id, its epoch and the requests' ids, and without a secret", async () => {
  const service = await start({ LOG_LEVEL: "debug", API_KEYS: SECRET });
  const headers = { "X-API-Key": SECRET, "X-Request-Id": "the-request" };
  const { id, epoch } = await runJob(service, headers);
  const cancel = `${service.url}/jobs/${id}/cancel`;
  expect((await fetch(`${cancel}?x=${SECRET}`, { method: "POST", headers })).status).toBe(422);
  expect((await fetch(cancel, { method: "POST", headers })).status).toBe(200);
  expect(await service.stop()).toBe(0);
  expect(service.output()).not.toContain(SECRET);

  const lines = parseLog(service.output());
  const ofJob = lines.filter((line) => line.job_id === id);
  const ofRun = ofJob.filter((line) => line.epoch === epoch);
  expect(eventsOf(ofRun)).toEqual(["job_claimed", "job_started", "job_ended"]);
  for (const line of ofRun) expect(line).toMatchObject({ level: "debug", attempt: 1 });
  expect(new Set(ofRun.map(({ worker }) => worker)).size).toBe(1);
  const [, started, ended] = ofRun;
  expect(ended).toMatchObject({ status: "failed", reason: "exit_code" });
  expect(ended?.duration_ms).toBeGreaterThan(started?.duration_ms ?? Infinity);

  const ofRequests = ofJob.filter((line) => line.epoch === undefined);
  expect(eventsOf(ofRequests).toSorted()).toEqual([
    "job_cancel_asked",
    "job_submitted",
    "stream_closed",
    "stream_opened",
  ]);
  for (const line of ofRequests) expect(line.request_id).toBe("the-request");
  const answers = lines.filter(({ event }) => event === "request_answered");
  expect(
    answers.map(({ method, path, status, request_id }) => [method, path, status, request_id]),
  ).toEqual([
    ["POST", "/jobs", 202, "the-request"],
    ["GET", `/jobs/${id}/logs/stream`, 200, "the-request"],
    ["POST", `/jobs/${id}/cancel`, 422, "the-request"],
    ["POST", `/jobs/${id}/cancel`, 200, "the-request"],
  ]);

  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  const example = /^\{"time".*"event":"job_ended".*\}$/m.exec(readme)?.[0] ?? "";
  expect(Object.keys(JSON.parse(example) as LoggedLine)).toEqual(Object.keys(ended ?? {}));
}, 60_000);

test("by default a job's life is not told at all", async () => {
  const service = await start();
  await runJob(service, {});
  expect((await fetch(`${service.url}/nowhere`)).status).toBe(404);
  expect(await service.stop()).toBe(0);
  const lines = parseLog(service.output());
  expect(eventsOf(lines)).toEqual(["runtimes_found", "listening", "stopping", "stopped"]);
}, 60_000);

test.skipIf(!hasRedisServer())(
  "an outage of Redis is told in two lines, whatever fails meanwhile, and without the password",
  async () => {
    const redis = await startRedisServer({
      appendFsync: "always",
      settings: { requirepass: SECRET },
    });
    const service = await start({ REDIS_URL: redis.url.replace("//", `//:${SECRET}@`) });
    const { id } = await submitPython(service.url, "import time\nprint('up')\ntime.sleep(1000)\n");
    const stream = await fetch(`${service.url}/jobs/${id}/logs/stream`);
    const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; !text.includes("up");) text += (await reader?.read())?.value ?? "up";
    await reader?.cancel();

    await redis.kill9();
    const answers = Array.from({ length: 20 }, () => fetch(`${service.url}/jobs/${id}`));
    for (const answer of await Promise.all(answers)) expect(answer.status).toBe(503);
    expect((await fetch(`${service.url}/readyz`)).status).toBe(503);
    await service.said(/"store_away"/);
    await redis.restart();
    await service.said(/"store_back"/);
    expect((await getJob(service.url, id)).status).toBe("running");

    await fetch(`${service.url}/jobs/${id}/cancel`, { method: "POST" });
    expect(await waitForEnd(service.url, id)).toMatchObject({ status: "cancelled", attempt: 1 });
    expect(await service.stop()).toBe(0);
    await redis.stop();
    const lines = parseLog(service.output());
    expect(lines.slice(2, -2).map(({ level, event }) => [level, event])).toEqual([
      ["error", "store_away"],
      ["info", "store_back"],
    ]);
    expect(lines[3]?.duration_ms).toBeGreaterThan(0);
    expect(service.output()).not.toContain(SECRET);
  },
  60_000,
);

test("on a terminal the lines are text", async () => {
  const dataDir = await freshDataDir();
  dataDirs.push(dataDir);
  let screen = "";
  const listening = Promise.withResolvers<void>();
  const decoder = new TextDecoder();
  const child = Bun.spawn([process.execPath, "run", "src/main.ts"], {
    cwd: ROOT,
    env: { PATH: process.env["PATH"] ?? "", PORT: "0", JOB_DATA_DIR: dataDir },
    terminal: {
      cols: 1_000,
      rows: 10,
      data(_terminal, bytes) {
        screen += decoder.decode(bytes, { stream: true });
        if (screen.includes("Listening")) listening.resolve();
      },
    },
  });
  await Promise.race([listening.promise, child.exited]);
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
  expect(screen).toMatch(/^\d\d:\d\d:\d\dZ info {2}Listening on http:\S+ \(store: sqlite\)\r$/m);
}, 60_000);

test.each([
  ["is thrown", "setTimeout(() => { throw new TypeError('a bug') }, 1)"],
  ["a promise is rejected with", "void Promise.reject(new TypeError('a bug'))"],
])("an error that %s where nobody catches it is one line, and the end", async (_how, breaking) => {
  const program = `
    import { loadConfig } from "./src/config.ts";
    import { exitCodeOf } from "./src/entry.ts";
    const run = async () => { ${breaking}; await new Promise((resolve) => setTimeout(resolve, 60_000)) };
    process.exit(await exitCodeOf(loadConfig({}), run));
  `;
  const child = Bun.spawn([process.execPath, "-e", program], { cwd: ROOT, stderr: "pipe" });
  const lines = parseLog(await new Response(child.stderr).text());
  expect(await child.exited).toBe(1);
  expect(lines).toEqual([
    expect.objectContaining({
      level: "error",
      event: "fatal",
      message: "The service cannot go on: a bug",
      error: expect.stringMatching(/^TypeError: a bug\n +at /),
    }),
  ]);
});

test("a configuration that is not understood is answered in plain words, and without the password", async () => {
  const child = Bun.spawn([process.execPath, "run", "src/main.ts"], {
    cwd: ROOT,
    env: { PORT: "http", LOG_FORMAT: "json", REDIS_URL: `http://:${SECRET}@localhost` },
    stderr: "pipe",
  });
  expect(await new Response(child.stderr).text()).toBe(
    'PORT is "http", but it should be a whole number from 0 to 65535.\n' +
      'REDIS_URL is "***@localhost", but it should be a URL such as redis://localhost:6379/0.\n',
  );
  expect(await child.exited).toBe(2);
}, 60_000);
