import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { eventually } from "../contract/store-harness.ts";
import { type JobJson, submissionForm, submitPython, waitForEnd } from "../support/client.ts";
import { type Deployment, DEPLOYMENTS } from "../support/deployments.ts";
import { Scrape } from "../support/prometheus-text.ts";
import { hasRedisServer, startRedisServer } from "../support/redis-server.ts";
import { freshDataDir, removeDataDir, startService, startWorker } from "../support/service.ts";

async function scrape(url: string, headers: Record<string, string> = {}): Promise<Scrape> {
  const response = await fetch(`${url}/metrics`, { headers });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  return new Scrape(await response.text());
}

/** Where a worker process says that its metrics are. */
async function metricsUrl(worker: Pick<Deployment["api"], "said">): Promise<string> {
  const [, url = ""] = await worker.said(/Metrics on (http:\S+)\/metrics"/);
  return url;
}

interface StatsJson {
  readonly store: { readonly kind: string };
  readonly queue: Readonly<Record<string, number | null>> | null;
  readonly running: number | null;
  readonly unfinished: number | null;
  readonly slots: { readonly total: number; readonly busy: number } | null;
  readonly workers: { readonly count: number; readonly slots: number } | null;
  readonly sse_clients: number;
}

async function stats(url: string): Promise<StatsJson> {
  return (await (await fetch(`${url}/stats`)).json()) as StatsJson;
}

describe.each(DEPLOYMENTS)("on $name", ({ start }) => {
  let deployment: Deployment;
  let url: string;
  /** The API first. */
  let processes: readonly string[];
  beforeAll(async () => {
    deployment = await start({ WORKER_CONCURRENCY: "2", METRICS_PORT: "0" });
    ({ url } = deployment.api);
    processes = [url, ...(await Promise.all(deployment.workers.map(metricsUrl)))];
    await eventually(
      () => stats(url),
      ({ workers }) => workers?.count === Math.max(1, deployment.workers.length),
    );
  }, 60_000);
  afterAll(() => deployment.stop());

  const scrapeAll = () => Promise.all(processes.map((process) => scrape(process)));
  /** Whichever process counted it. */
  const sum = (scrapes: readonly Scrape[], name: string) =>
    scrapes.reduce((total, each) => total + each.sum(`jobrunner_${name}`), 0);
  const nonZero = (scrapes: readonly Scrape[], name: string) => {
    const total: Record<string, number> = {};
    for (const each of scrapes)
      for (const [labels, value] of Object.entries(each.nonZero(`jobrunner_${name}`)))
        total[labels] = (total[labels] ?? 0) + value;
    return total;
  };

  test("what has happened is counted, exactly", async () => {
    const sources = [
      "print('four')",
      "print('seven!')\nraise SystemExit(3)",
      "import os\nfor _ in range(40): os.write(1, b'x' * 65536)",
    ];
    const ended: JobJson[] = [];
    for (const source of sources) {
      const { id } = await submitPython(url, source, { limits: { output_mb: 1 } });
      ended.push(await waitForEnd(url, id));
    }
    const endless = await submitPython(url, "import time\nprint('up', flush=True)\ntime.sleep(60)");
    const stream = await fetch(`${url}/jobs/${endless.id}/logs/stream`);
    const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
    for (let seen = ""; !seen.includes("up");) seen += (await reader.read()).value ?? "";
    await reader.cancel();
    expect((await fetch(`${url}/jobs/${endless.id}/cancel`, { method: "POST" })).status).toBe(202);
    ended.push(await waitForEnd(url, endless.id));
    const refused = await fetch(`${url}/jobs`, {
      method: "POST",
      body: submissionForm({ spec: { entry: "none.py" } }),
    });
    expect(refused.status).toBe(422);

    // A job's end is seen a moment before the worker has had the store's answer to it.
    const scrapes = await eventually(scrapeAll, (all) => sum(all, "jobs_ended_total") === 4);
    expect(nonZero(scrapes, "jobs_ended_total")).toEqual({
      "succeeded none": 2,
      "failed exit_code": 1,
      "cancelled cancelled": 1,
    });
    const logs = ended.map(({ log }) => log);
    expect(sum(scrapes, "log_bytes_total")).toBe(logs.reduce((all, { bytes }) => all + bytes, 0));
    const dropped = logs.reduce((all, { dropped_bytes: bytes }) => all + bytes, 0);
    expect(dropped).toBe(40 * 65_536 - 1_048_576);
    expect(sum(scrapes, "log_dropped_bytes_total")).toBe(dropped);
    for (const name of ["wait", "start", "run"])
      expect([name, sum(scrapes, `job_${name}_seconds_count`)]).toEqual([name, 4]);
    expect(sum(scrapes, "job_start_seconds_sum")).toBeGreaterThan(0);
    const wallMs = ended.reduce((all, { usage }) => all + (usage?.wall_ms ?? 0), 0);
    expect(sum(scrapes, "job_run_seconds_sum")).toBeLessThan(wallMs / 1000 + 1);
    expect(nonZero(scrapes, "submits_total")).toEqual({ accepted: 4, invalid_spec: 1 });
    const requests = nonZero(scrapes, "http_requests_total");
    expect(requests).toMatchObject({
      "POST /jobs 202": 4,
      "POST /jobs 422": 1,
      "POST /jobs/:id/cancel 202": 1,
      "GET /jobs/:id/logs/stream 200": 5,
      "GET /jobs/:id 200": 4,
    });
    for (const name of ["store_errors", "fenced_runs", "recovered_jobs"])
      expect(nonZero(scrapes, `${name}_total`)).toEqual({});
  }, 60_000);

  test("a submit that is repeated under its key is told apart from a new one, and from a key used twice", async () => {
    const before = nonZero([await scrape(url)], "submits_total");
    const submitOnce = async (source: string) => {
      const form = submissionForm({ spec: { entry: "main.py" }, code: { "main.py": source } });
      const headers = { "Idempotency-Key": "one" };
      return fetch(`${url}/jobs`, { method: "POST", headers, body: form });
    };
    const { id } = (await (await submitOnce("print(1)")).json()) as JobJson;
    const statuses: number[] = [];
    for (const source of ["print(1)", "print(2)", "print(1)"])
      statuses.push((await submitOnce(source)).status);
    expect(statuses).toEqual([202, 422, 202]);
    await waitForEnd(url, id);
    const after = nonZero([await scrape(url)], "submits_total");
    expect(after).toEqual({
      ...before,
      accepted: (before["accepted"] ?? 0) + 1,
      replayed: 2,
      idempotency_key_reused: 1,
    });
  });

  test("paths and methods that a client makes up add no labels", async () => {
    for (const path of ["/a", "/b/c", "/jobs/x/y", `/jobs/${"x".repeat(500)}`])
      await fetch(`${url}${path}`);
    await fetch(`${url}/livez/`, { method: "HEAD" });
    const requests = (await scrape(url)).nonZero("jobrunner_http_requests_total");
    expect(requests).toMatchObject({
      "GET none 404": 3,
      "GET /jobs/:id 404": 1,
      "HEAD /livez 200": 1,
    });
  });

  test("what waits and runs is told as it is", async () => {
    const slots = 2 * Math.max(1, deployment.workers.length);
    const source = "import time\nprint('up', flush=True)\ntime.sleep(60)";
    const ids: string[] = [];
    for (let index = 0; index < slots; index += 1) ids.push((await submitPython(url, source)).id);
    await eventually(
      () => stats(url),
      ({ running }) => running === slots,
    );
    for (const priority of ["high", "low", "low"])
      ids.push((await submitPython(url, source, { priority })).id);
    const follower = new AbortController();
    const stream = await fetch(`${url}/jobs/${ids[0]}/logs/stream`, { signal: follower.signal });
    await stream.body!.getReader().read();
    const seen = await eventually(
      () => stats(url),
      (now) => now.sse_clients === 1,
    );
    const isInline = deployment.workers.length === 0;
    expect(seen).toMatchObject({
      queue: { high: 1, normal: 0, low: 2, total: 3 },
      running: slots,
      unfinished: slots + 3,
      slots: isInline ? { total: 2, busy: 2 } : null,
      workers: { count: Math.max(1, deployment.workers.length), slots },
    });
    expect(seen.queue?.["oldest_wait_ms"]).toBeGreaterThan(0);
    const scrapes = await scrapeAll();
    expect([sum(scrapes, "slots"), sum(scrapes, "slots_busy")]).toEqual([slots, slots]);
    expect(sum(scrapes, "sse_clients")).toBe(1);
    // Every process tells what the store holds.
    for (const each of scrapes) {
      expect(each.nonZero("jobrunner_queue_depth")).toEqual({ high: 1, low: 2 });
      expect(each.sum("jobrunner_leases")).toBe(slots);
      expect(each.sum("jobrunner_worker_slots")).toBe(slots);
      expect(each.sum("jobrunner_oldest_queued_seconds")).toBeGreaterThan(0);
    }
    follower.abort();
    for (const id of ids.toReversed()) await fetch(`${url}/jobs/${id}/cancel`, { method: "POST" });
    await eventually(
      () => stats(url),
      (now) =>
        now.running === 0 && now.sse_clients === 0 && (now.slots === null || now.slots.busy === 0),
    );
    expect(await stats(url)).toMatchObject({
      queue: { high: 0, normal: 0, low: 0, total: 0, oldest_wait_ms: null },
      unfinished: 0,
    });
  }, 60_000);
});

describe.skipIf(!hasRedisServer())("on Redis,", () => {
  test("while the server is stopped a scrape gives the rest within 3 s, and so does /stats", async () => {
    const server = await startRedisServer();
    const service = await startService({ env: { REDIS_URL: server.url } });
    const { url } = service;
    process.kill(server.pid(), "SIGSTOP");
    const startedAtMs = performance.now();
    const [seen, told] = await Promise.all([scrape(url), stats(url)]);
    expect(performance.now() - startedAtMs).toBeLessThan(3_000);
    for (const name of ["queue_depth", "leases", "workers"])
      expect(seen.has(`jobrunner_${name}`)).toBe(false);
    expect(seen.has("jobrunner_slots")).toBe(true);
    const unknown = { queue: null, running: null, unfinished: null, workers: null };
    expect(told).toMatchObject({ ...unknown, sse_clients: 0 });
    expect(told.slots).not.toBeNull();
    process.kill(server.pid(), "SIGCONT");
    await service.stop();
    await server.stop();
    await removeDataDir(service.dataDir);
  }, 40_000);

  test("a worker process tells that it is not ready, to everybody, and its metrics for a key", async () => {
    const server = await startRedisServer();
    const dataDir = await freshDataDir();
    const env = { REDIS_URL: server.url, METRICS_PORT: "0", API_KEYS: "a-key" };
    const worker = await startWorker({ env, dataDir });
    const url = await metricsUrl(worker);
    const status = async (path: string) => (await fetch(`${url}${path}`)).status;
    expect(await status("/livez")).toBe(200);
    await eventually(
      () => status("/readyz"),
      (seen) => seen === 200,
    );
    expect(await status("/metrics")).toBe(401);
    const seen = await scrape(url, { Authorization: "Bearer a-key" });
    expect(seen.has("jobrunner_slots")).toBe(true);
    // It has no API, and so no clients.
    expect(seen.has("jobrunner_sse_clients")).toBe(false);
    expect(
      (await fetch(`${url}/jobs`, { headers: { Authorization: "Bearer a-key" } })).status,
    ).toBe(404);
    process.kill(server.pid(), "SIGSTOP");
    await eventually(
      () => status("/readyz"),
      (now) => now === 503,
    );
    process.kill(server.pid(), "SIGCONT");
    await eventually(
      () => status("/readyz"),
      (now) => now === 200,
    );
    await worker.stop();
    await server.stop();
    await removeDataDir(dataDir);
  }, 40_000);

  test("a worker whose METRICS_PORT is taken does not start, and says why", async () => {
    const server = await startRedisServer();
    const service = await startService();
    const { port } = new URL(service.url);
    const dataDir = await freshDataDir();
    const env = { REDIS_URL: server.url, METRICS_PORT: port };
    await expect(startWorker({ env, dataDir })).rejects.toThrow(
      `Cannot listen on 127.0.0.1:${port}`,
    );
    await service.stop();
    await server.stop();
    await removeDataDir(service.dataDir);
    await removeDataDir(dataDir);
  }, 40_000);
});
