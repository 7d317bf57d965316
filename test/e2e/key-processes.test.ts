import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";

import { type JobJson, submissionForm } from "../support/client.ts";
import { createKey, runKeys, type TestKey } from "../support/keys.ts";
import { hasRedisServer, type RedisServer, startRedisServer } from "../support/redis-server.ts";
import {
  freshDataDir,
  removeDataDir,
  type RunningService,
  startService,
} from "../support/service.ts";

/*
 * Keys where several processes serve one installation: all know the same keys at every moment, count the same use, and keep
 * no secret of theirs anywhere.
 */

const SLEEPS = "import time\ntime.sleep(60)\n";

function post({ url }: RunningService, key: TestKey, source: string): Promise<Response> {
  const body = submissionForm({ spec: { entry: "main.py" }, code: { "main.py": source } });
  return fetch(`${url}/jobs`, { method: "POST", headers: key.headers, body });
}

/** The bytes of every file below a folder. */
function filesBelow(folder: string): readonly Buffer[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name)));
}

/** Uses a key in every way, and ways that are nearly right. */
async function useEverywhere(service: RunningService, { text }: TestKey): Promise<string> {
  const answers: string[] = [];
  for (const headers of [
    { "X-API-Key": text },
    { Authorization: `Bearer ${text}` },
    { Authorization: `Basic ${text}` },
    { "X-API-Key": `${text}A` },
    { "X-API-Key": text.replace(/^jr_..../, "jr_0000") },
    { "X-API-Key": text, "Idempotency-Key": text },
  ]) {
    const body = submissionForm({ spec: { entry: "main.py" }, code: { "main.py": "print(1)" } });
    const response = await fetch(`${service.url}/jobs`, { method: "POST", headers, body });
    answers.push(JSON.stringify([...response.headers]), await response.text());
  }
  return answers.join("\n");
}

test("with SQLite the secret of a key is in no file, no log and no answer", async () => {
  const dataDir = await freshDataDir();
  const key = await createKey(dataDir, "ci");
  const service = await startService({ dataDir, env: { LOG_LEVEL: "debug" } });
  const secret = key.text.slice(-43);
  expect(await useEverywhere(service, key)).not.toContain(secret);
  const files = filesBelow(dataDir);
  // The store is among them: it knows whose the jobs are.
  expect(files.filter((bytes) => bytes.includes(key.id)).length).toBeGreaterThan(1);
  for (const bytes of files) expect(bytes.includes(secret)).toBe(false);
  await service.stop();
  expect(service.output()).toContain(key.id);
  expect(service.output()).not.toContain(secret);
  await removeDataDir(dataDir);
}, 30_000);

describe.skipIf(!hasRedisServer())("several API processes on one Redis", () => {
  let redis: RedisServer;
  let dataDir: string;
  let services: readonly RunningService[] = [];

  beforeAll(async () => {
    // So that its file holds what it stores as it is.
    redis = await startRedisServer({ settings: { rdbcompression: "no" } });
    dataDir = await freshDataDir();
    await createKey(dataDir, "the first");
    const env = { REDIS_URL: redis.url, LOG_LEVEL: "debug", WORKER_CONCURRENCY: "2" };
    services = await Promise.all([0, 1, 2].map(() => startService({ dataDir, env })));
  }, 60_000);
  afterAll(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await redis.stop();
    await removeDataDir(dataDir);
  }, 60_000);

  const statuses = (key: TestKey) =>
    Promise.all(
      services.map(
        async ({ url }) => (await fetch(`${url}/jobs`, { headers: key.headers })).status,
      ),
    );

  test("a key is known to each as soon as it is made, and to none once it is revoked", async () => {
    const key = await createKey(dataDir, "leaver");
    expect(await statuses(key)).toEqual([200, 200, 200]);
    expect((await runKeys(dataDir, ["revoke", key.id])).exitCode).toBe(0);
    expect(await statuses(key)).toEqual([401, 401, 401]);
  }, 30_000);

  test("of submits to all of them at the same time exactly as many are taken as a quota has room for", async () => {
    for (const [option, pointer] of [
      ["--max-active", "/max_active"],
      ["--submits-per-minute", "/submits_per_minute"],
    ] as const) {
      const key = await createKey(dataDir, option.slice(2), option, "5");
      const answers = await Promise.all(
        Array.from({ length: 8 }, () =>
          services.map((service) => post(service, key, SLEEPS)),
        ).flat(),
      );
      const taken = answers.filter(({ status }) => status === 202);
      expect(taken).toHaveLength(5);
      for (const answer of answers.filter((each) => !taken.includes(each))) {
        expect(answer.status).toBe(429);
        expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
        expect(await answer.json()).toMatchObject({ errors: [{ pointer }] });
      }
      for (const answer of taken) {
        const { id } = (await answer.json()) as JobJson;
        const cancel = `${services[0]?.url}/jobs/${id}/cancel`;
        await fetch(cancel, { method: "POST", headers: key.headers });
      }
    }
  }, 60_000);

  test("the secret of a key is neither in Redis nor in a file, a log or an answer", async () => {
    const key = await createKey(dataDir, "careful");
    const secret = key.text.slice(-43);
    for (const service of services) expect(await useEverywhere(service, key)).not.toContain(secret);
    const client = new Redis(redis.url);
    await client.save();
    client.disconnect();
    const stored = filesBelow(redis.directory);
    expect(stored.some((bytes) => bytes.includes(key.id))).toBe(true);
    for (const bytes of [...stored, ...filesBelow(dataDir)])
      expect(bytes.includes(secret)).toBe(false);
    for (const service of services) expect(service.output()).not.toContain(secret);
  }, 30_000);
});
