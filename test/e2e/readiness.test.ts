import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Redis } from "ioredis";
import { closeSync, openSync, writeSync } from "node:fs";
import { rm } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { getJob, runPython, submissionForm, submitPython, waitForEnd } from "../support/client.ts";
import { hasRedisServer, type RedisServer, startRedisServer } from "../support/redis-server.ts";
import { removeDataDir, ROOT, type RunningService, startService } from "../support/service.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

/** What store.md promises: red within 3 s of no progress, and back soon after. */
const RED_WITHIN_MS = 3_000;
const GREEN_WITHIN_MS = 5_000;
/** Room for the store, what it holds back, and a few jobs. */
const DISK_BYTES = 20 * 1024 * 1024;

interface Readiness {
  readonly status: number;
  readonly reasons: readonly string[];
}

async function readyz(url: string): Promise<Readiness> {
  const response = await fetch(`${url}/readyz`);
  const { reasons } = (await response.json()) as { readonly reasons: readonly string[] };
  return { status: response.status, reasons };
}

/** Asks until the answer has this status; fails the test when that takes longer than `withinMs`. */
async function becomes(url: string, status: number, withinMs: number): Promise<Readiness> {
  const startedAtMs = performance.now();
  for (;;) {
    const answer = await readyz(url);
    if (answer.status === status) {
      expect(performance.now() - startedAtMs).toBeLessThan(withinMs);
      return answer;
    }
    if (performance.now() - startedAtMs > withinMs)
      throw new Error(`No ${status} within ${withinMs} ms: ${JSON.stringify(answer)}`);
    await delay(20);
  }
}

/** Breaks the store, mends it, and looks at what the probes say; at the end jobs run again. */
async function outage(
  url: string,
  store: { readonly break: () => void; readonly mend: () => void },
): Promise<void> {
  await becomes(url, 200, GREEN_WITHIN_MS);
  store.break();
  try {
    const { reasons } = await becomes(url, 503, RED_WITHIN_MS);
    expect(reasons).toEqual(["The store does not answer."]);
    // It stays so, and the process itself is alive.
    await delay(1_500);
    expect((await readyz(url)).status).toBe(503);
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  } finally {
    store.mend();
  }
  await becomes(url, 200, GREEN_WITHIN_MS);
  expect((await runPython(url, "print('well')")).log).toBe("well\n");
}

/** Fills the store while a job runs, looks at what is refused and what goes on, and makes room; at the end jobs run again. */
async function fullStore(
  url: string,
  store: { readonly fill: () => Promise<void>; readonly makeRoom: () => Promise<void> },
): Promise<void> {
  const running = await submitPython(
    url,
    "import time\nprint('up', flush=True)\ntime.sleep(4)\nraise SystemExit(7)",
  );
  const stream = await fetch(`${url}/jobs/${running.id}/logs/stream`);
  const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  while (!seen.includes("data: up")) seen += (await reader.read()).value ?? "";
  await reader.cancel();
  await becomes(url, 200, GREEN_WITHIN_MS);
  await store.fill();
  try {
    const { reasons } = await becomes(url, 503, RED_WITHIN_MS);
    expect(reasons).toEqual(["The store is full: it takes no new jobs, and those that run go on."]);
    const refused = await fetch(`${url}/jobs`, {
      method: "POST",
      body: submissionForm({ spec: { entry: "main.py" }, code: { "main.py": "" } }),
    });
    expect(refused.status).toBe(507);
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    expect((await getJob(url, running.id)).status).toBe("running");
    expect(await waitForEnd(url, running.id)).toMatchObject({ status: "failed", exit_code: 7 });
  } finally {
    await store.makeRoom();
  }
  await becomes(url, 200, GREEN_WITHIN_MS);
  expect((await runPython(url, "print('well')")).log).toBe("well\n");
}

/** Takes all room that the disk below `path` still has. */
function fillUp(path: string): void {
  const file = openSync(path, "w");
  try {
    for (const block = new Uint8Array(4_096); ;) writeSync(file, block);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
  } finally {
    closeSync(file);
  }
}

test("on SQLite: a file that somebody else keeps locked", async () => {
  const service = await startService();
  const file = new DatabaseSync(join(service.dataDir, "jobs.sqlite"));
  await outage(service.url, {
    break: () => file.exec("BEGIN IMMEDIATE"),
    mend: () => file.exec("ROLLBACK"),
  });
  file.close();
  await service.stop();
  await removeDataDir(service.dataDir);
}, 40_000);

test("on SQLite: a full disk: new jobs are refused, those that run go on", async () => {
  const onDisk = ["bwrap", "--dev-bind", "/", "/", "--size", String(DISK_BYTES), "--tmpfs", "/mnt"];
  const service = await startService({
    env: { JOB_DATA_DIR: "/mnt/jobs", MIN_FREE_DISK_MB: "0" },
    startAs: { prefix: [...onDisk, "--"], root: ROOT, bun: process.execPath },
  });
  const disk = `/proc/${service.pid}/root/mnt`;
  await fullStore(service.url, {
    fill: async () => fillUp(`${disk}/filler`),
    makeRoom: () => rm(`${disk}/filler`),
  });
  await service.stop();
  await removeDataDir(service.dataDir);
}, 40_000);

describe.skipIf(!hasRedisServer())("on Redis", () => {
  let server: RedisServer;
  let proxy: TcpProxy;
  let service: RunningService;
  beforeAll(async () => {
    server = await startRedisServer();
    proxy = await startTcpProxy(server.port);
    service = await startService({ env: { REDIS_URL: `redis://127.0.0.1:${proxy.port}` } });
  }, 40_000);
  afterAll(async () => {
    await service.stop();
    await proxy.stop();
    await server.stop();
    await removeDataDir(service.dataDir);
  });

  test("a server that is stopped, its connections still open", async () => {
    await outage(service.url, {
      break: () => process.kill(server.pid(), "SIGSTOP"),
      mend: () => process.kill(server.pid(), "SIGCONT"),
    });
  }, 40_000);

  test("a network that swallows everything", async () => {
    await outage(service.url, {
      break: () => proxy.blackHole(),
      mend: () => proxy.restore(),
    });
  }, 40_000);

  test("a server at its maxmemory: new jobs are refused, those that run go on", async () => {
    const raw = new Redis(server.url);
    await fullStore(service.url, {
      fill: async () => void (await raw.config("SET", "maxmemory", "1")),
      makeRoom: async () => void (await raw.config("SET", "maxmemory", "0")),
    });
    raw.disconnect();
  }, 40_000);
});
