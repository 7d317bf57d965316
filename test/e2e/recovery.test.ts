import { describe, expect, test } from "bun:test";
import { getJob, snapshot, submitPython, waitForEnd } from "../support/client.ts";
import { processesWith } from "../support/guests.ts";
import { Scrape } from "../support/prometheus-text.ts";
import { hasRedisServer, startRedisServer } from "../support/redis-server.ts";
import {
  freshDataDir,
  removeDataDir,
  type RunningService,
  startService,
  startWorker,
} from "../support/service.ts";

/** Reads a job's stream until its text matches. */
async function readUntil(url: string, id: string, pattern: RegExp): Promise<void> {
  const response = await fetch(`${url}/jobs/${id}/logs/stream`);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!pattern.test(text)) {
    const step = await reader?.read();
    if (step?.done !== false) throw new Error(`The stream ended before ${pattern}: ${text}`);
    text += step.value;
  }
  await reader?.cancel();
}

/** Prints its attempt and a line at a time; the first attempt never ends by itself. */
const oracle = (marker: string) => `
import os, subprocess, time
attempt = os.environ["JOB_ATTEMPT"]
print("attempt", attempt)
child = subprocess.Popen(["sleep", "${marker}"])
for i in range(20):
    print(attempt, i)
if attempt == "1": time.sleep(1000)
child.kill()
open("result.txt", "w").write(attempt)
`;

async function expectRerunOnce(url: string, id: string, marker: string): Promise<void> {
  const job = await waitForEnd(url, id);
  expect(job).toMatchObject({ status: "succeeded", attempt: 2 });
  const output = (attempt: number) =>
    `attempt ${attempt}\n${Array.from({ length: 20 }, (_, i) => `${attempt} ${i}\n`).join("")}`;
  expect((await snapshot(url, id)).toString()).toBe(output(2));
  expect((await snapshot(url, id, "?attempt=1")).toString()).toBe(output(1));
  expect((await snapshot(url, id, "?attempt=all")).toString()).toBe(output(1) + output(2));
  const stream = await (await fetch(`${url}/jobs/${id}/logs/stream?attempt=all`)).text();
  expect(stream.match(/^event: .*$/gm)).toEqual(["event: attempt", "event: attempt", "event: end"]);
  expect(stream).toContain('data: {"attempt":2,"reason":"worker_lost"}');
  const first = await (await fetch(`${url}/jobs/${id}/logs/stream?attempt=1`)).text();
  expect(first.match(/^event: .*$/gm)).toEqual(["event: attempt", "event: attempt"]);
  expect(await (await fetch(`${url}${job.artifacts[0]?.url}`)).text()).toBe("2");
  expect(processesWith(marker)).toEqual([]);
}

/** What the server has counted of the jobs of dead workers. */
async function recoveries(url: string): Promise<Readonly<Record<string, number>>> {
  const scrape = new Scrape(await (await fetch(`${url}/metrics`)).text());
  return scrape.nonZero("jobrunner_recovered_jobs_total");
}

const newMarker = () => String(10_000_000 + Math.floor(Math.random() * 80_000_000));

describe("kill -9", () => {
  test("of the server on SQLite: after the restart the job runs again and ends once", async () => {
    const dataDir = await freshDataDir();
    const marker = newMarker();
    const first = await startService({ dataDir });
    const { id } = await submitPython(first.url, oracle(marker));
    await readUntil(first.url, id, /data: 1 19\n/);
    expect(processesWith(marker).length).toBeGreaterThan(0);
    await first.kill9();
    const second = await startService({ dataDir });
    await expectRerunOnce(second.url, id, marker);
    await second.stop();
    await removeDataDir(dataDir);
  }, 60_000);

  test("of the server on SQLite, again and again: the job is lost, its log kept", async () => {
    const dataDir = await freshDataDir();
    let service = await startService({ dataDir });
    const { id } = await submitPython(
      service.url,
      "import os, time\nprint('attempt', os.environ['JOB_ATTEMPT'])\ntime.sleep(1000)\n",
    );
    for (const attempt of [1, 2]) {
      await readUntil(service.url, id, new RegExp(`data: attempt ${attempt}\n`));
      await service.kill9();
      service = await startService({ dataDir });
      // Which the server says of each such job, and counts.
      const status = attempt === 1 ? "queued" : "lost";
      const recovery = await service.said(/^.*"job_recovered".*$/m);
      expect(JSON.parse(recovery[0])).toMatchObject({ level: "warn", job_id: id, status });
      expect(await recoveries(service.url)).toEqual({ [attempt === 1 ? "requeued" : "lost"]: 1 });
    }
    const job = await waitForEnd(service.url, id);
    expect(job).toMatchObject({ status: "lost", reason: "worker_lost", attempt: 2 });
    expect((await snapshot(service.url, id, "?attempt=all")).toString()).toBe(
      "attempt 1\nattempt 2\n",
    );
    await service.stop();
    await removeDataDir(dataDir);
  }, 60_000);

  test.skipIf(!hasRedisServer())(
    "of a worker on Redis: the other one runs the job again, once",
    async () => {
      const redis = await startRedisServer();
      const dataDir = await freshDataDir();
      const env = { REDIS_URL: redis.url, WORKER_CONCURRENCY: "1" };
      const marker = newMarker();
      const doomed = await startWorker({ env, dataDir });
      const api = await startService({ env: { ...env, INLINE_WORKER: "0" }, dataDir });
      const { id } = await submitPython(api.url, oracle(marker));
      await readUntil(api.url, id, /data: 1 19\n/);
      const heir = await startWorker({ env, dataDir });
      await doomed.kill9();
      await expectRerunOnce(api.url, id, marker);
      await Promise.all([api.stop(), heir.stop()]);
      await redis.stop();
      await removeDataDir(dataDir);
    },
    60_000,
  );
});

describe("SIGTERM", () => {
  test("lets a running job finish, for its readers too, and takes no new one", async () => {
    const service = await startService();
    const { id } = await submitPython(
      service.url,
      "import time\nprint('up')\ntime.sleep(1)\nprint('finished')\n",
    );
    await readUntil(service.url, id, /data: up\n/);
    const following = fetch(`${service.url}/jobs/${id}/logs/stream`).then((each) => each.text());
    const stopped = service.stop();
    await service.said(/SIGTERM/);
    const late = fetch(`${service.url}/jobs/${id}/logs/stream`).then((each) => each.text());
    const refused = await fetch(`${service.url}/jobs`, { method: "POST", body: "x" });
    expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([
      503,
      "draining",
    ]);
    for (const text of await Promise.all([following, late]))
      expect(text).toMatch(/data: finished\n\nevent: end\n/);
    expect(await stopped).toBe(0);
    const again = await startService({ dataDir: service.dataDir });
    expect(await getJob(again.url, id)).toMatchObject({ status: "succeeded", attempt: 1 });
    await again.stop();
    await removeDataDir(service.dataDir);
  }, 60_000);

  test("hands a job that outlives the drain back, and its attempt does not count as a crash", async () => {
    const dataDir = await freshDataDir();
    let service: RunningService = await startService({ dataDir, env: { DRAIN_SEC: "0" } });
    const marker = newMarker();
    const { id } = await submitPython(
      service.url,
      `
import os, subprocess
print("attempt", os.environ["JOB_ATTEMPT"])
if int(os.environ["JOB_ATTEMPT"]) < 4: subprocess.run(["sleep", "${marker}"])
`,
    );
    for (const attempt of [1, 2, 3]) {
      await readUntil(service.url, id, new RegExp(`data: attempt ${attempt}\n`));
      expect(await service.stop()).toBe(0);
      expect(processesWith(marker)).toEqual([]);
      service = await startService({ dataDir, env: { DRAIN_SEC: "0" } });
    }
    expect(await waitForEnd(service.url, id)).toMatchObject({ status: "succeeded", attempt: 4 });
    const stream = await (await fetch(`${service.url}/jobs/${id}/logs/stream`)).text();
    expect(stream).toContain('data: {"attempt":4,"reason":"worker_drained"}');
    await service.stop();
    await removeDataDir(dataDir);
  }, 60_000);

  test("tells the readers of a job that goes on elsewhere when to come back, each another time", async () => {
    const env = { DRAIN_SEC: "0" };
    const service = await startService({ env });
    const marker = newMarker();
    const { id } = await submitPython(
      service.url,
      `
import os, subprocess
print("attempt", os.environ["JOB_ATTEMPT"])
if os.environ["JOB_ATTEMPT"] == "1": subprocess.run(["sleep", "${marker}"])
`,
    );
    await readUntil(service.url, id, /data: attempt 1\n/);
    const path = `/jobs/${id}/logs/stream?attempt=all`;
    const responses = await Promise.all(
      Array.from({ length: 20 }, () => fetch(`${service.url}${path}`)),
    );
    const reading = responses.map((response) => response.text());
    expect(await service.stop()).toBe(0);
    const texts = await Promise.all(reading);
    const retriesMs = texts.map((text) => Number(/\n\nretry: (\d+)\n: .+\n\n$/.exec(text)?.[1]));
    for (const retryMs of retriesMs) {
      expect(retryMs).toBeGreaterThanOrEqual(500);
      expect(retryMs).toBeLessThanOrEqual(2_500);
    }
    expect(new Set(retriesMs).size).toBeGreaterThan(10);
    const lastId = /id: (\S+)\ndata: attempt 1\n\nretry/.exec(texts[0] ?? "")?.[1] ?? "";
    const again = await startService({ dataDir: service.dataDir, env });
    const rest = await fetch(`${again.url}${path}`, { headers: { "Last-Event-ID": lastId } });
    const events = (await rest.text()).match(/^(event|data): .*$/gm);
    expect(events?.slice(0, 3)).toEqual([
      "event: attempt",
      'data: {"attempt":2,"reason":"worker_drained"}',
      "data: attempt 2",
    ]);
    await again.stop();
    await removeDataDir(service.dataDir);
  }, 60_000);
});
