import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { eventually } from "../contract/store-harness.ts";
import { type JobJson, submissionForm } from "../support/client.ts";
import { type Deployment, DEPLOYMENTS } from "../support/deployments.ts";
import { rawRequest } from "../support/raw-http.ts";
import { createKey, type TestKey } from "../support/keys.ts";
import { freshDataDir, removeDataDir, startService } from "../support/service.ts";

const SLEEPS = "import time\ntime.sleep(60)\n";
const SPINS = "import time\nwhile time.process_time() < 1.1: pass\n";

/** What a submit was answered with. */
interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: JobJson & {
    readonly code?: string;
    readonly errors?: readonly { readonly pointer: string }[];
  };
}

async function post(
  url: string,
  key: TestKey,
  source: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const response = await fetch(`${url}/jobs`, {
    method: "POST",
    headers: { ...key.headers, ...headers },
    body: submissionForm({ spec: { entry: "main.py" }, code: { "main.py": source } }),
  });
  const body = (await response.json()) as Answer["body"];
  return { status: response.status, headers: response.headers, body };
}

async function cancel(url: string, { headers }: TestKey, id: string): Promise<void> {
  await fetch(`${url}/jobs/${id}/cancel`, { method: "POST", headers });
  await (await fetch(`${url}/jobs/${id}/logs/stream`, { headers })).text();
}

/** The members of a RateLimit or RateLimit-Policy header, by the name of their policy. */
function fieldOf(headers: Headers, name: string): Readonly<Record<string, string>> {
  const members = (headers.get(name) ?? "").split(", ").map((member) => {
    const [, policy = "", parameters = ""] = /^"([a-z]+)";(.*)$/.exec(member) ?? [];
    return [policy, parameters] as const;
  });
  return Object.fromEntries(members);
}

function expectRefused(answer: Answer, pointer: string): void {
  expect(answer.status).toBe(429);
  expect(answer.body.code).toBe("quota_exceeded");
  expect(answer.body.errors).toMatchObject([{ pointer }]);
  expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
}

describe.each(DEPLOYMENTS)("quotas on $name", ({ start }) => {
  let deployment: Deployment;
  let active: TestKey;
  let submits: TestKey;
  let cpu: TestKey;
  let free: TestKey;

  beforeAll(async () => {
    deployment = await start({ MAX_QUEUED: "30", WORKER_CONCURRENCY: "2" });
    const { dataDir, url } = deployment.api;
    active = await createKey(dataDir, "active", "--max-active", "5");
    submits = await createKey(dataDir, "submits", "--submits-per-minute", "3");
    cpu = await createKey(dataDir, "cpu", "--cpu-sec-per-day", "1");
    free = await createKey(dataDir, "free");
    const runtimes = async () => {
      const response = await fetch(`${url}/runtimes`, { headers: free.headers });
      return ((await response.json()) as { readonly items: readonly object[] }).items.length;
    };
    await eventually(runtimes, (items) => items > 0);
  }, 60_000);
  afterAll(() => deployment.stop(), 60_000);

  test("of twenty submits at the same time exactly as many are taken as may be active", async () => {
    const { url } = deployment.api;
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(url, active, SLEEPS)));
    const taken = answers.filter(({ status }) => status === 202);
    expect(taken).toHaveLength(5);
    for (const answer of answers.filter(({ status }) => status !== 202))
      expectRefused(answer, "/max_active");
    for (const { headers } of answers) {
      expect(headers.get("ratelimit-policy")).toBe('"active";q=5;qu="concurrent-requests"');
      expect(headers.get("ratelimit")).toMatch(/^"active";r=[0-5]$/);
    }
    await cancel(url, active, taken[0]?.body.id ?? "");
    const next = await post(url, active, SLEEPS);
    expect(next.status).toBe(202);
    expect(fieldOf(next.headers, "ratelimit")).toEqual({ active: "r=0" });
    const again = `${url}/jobs/${next.body.id}/rerun`;
    const rerun = await fetch(again, { method: "POST", headers: active.headers });
    expect(rerun.status).toBe(429);
    expect(fieldOf(rerun.headers, "ratelimit")).toEqual({ active: "r=0" });
    // Before its body has come: nothing of it is taken in.
    const early = await rawRequest(
      url,
      `POST /jobs HTTP/1.1\r\nHost: localhost\r\nX-API-Key: ${active.text}\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n{`,
    );
    expect(early.status).toBe(429);
    const keyed = await post(url, active, SLEEPS, { "Idempotency-Key": crypto.randomUUID() });
    expectRefused(keyed, "/max_active");
    for (const { body } of [...taken.slice(1), next]) await cancel(url, active, body.id);
  }, 60_000);

  test("submits are counted by the minute; a repeated one is answered though all are used", async () => {
    const { url } = deployment.api;
    const key = { "Idempotency-Key": "once" };
    const first = await post(url, submits, "print(1)\n", key);
    expect(first.headers.get("ratelimit-policy")).toBe('"submits";q=3;w=60');
    expect(first.headers.get("ratelimit")).toMatch(/^"submits";r=2;t=(60|5\d)$/);
    // A body that is no job uses nothing.
    const broken = await fetch(`${url}/jobs`, {
      method: "POST",
      headers: submits.headers,
      body: "",
    });
    expect(broken.status).toBeGreaterThanOrEqual(400);
    expect(broken.headers.get("ratelimit")).toMatch(/^"submits";r=2;t=/);
    await post(url, submits, "print(2)\n");
    await post(url, submits, "print(3)\n");
    const refused = await post(url, submits, "print(4)\n");
    expectRefused(refused, "/submits_per_minute");
    expect(Number(refused.headers.get("retry-after"))).toBeLessThanOrEqual(60);
    expect(refused.headers.get("ratelimit")).toMatch(/^"submits";r=0;t=/);
    const replayed = await post(url, submits, "print(1)\n", key);
    expect(replayed).toMatchObject({ status: 202, body: { id: first.body.id } });
    expect(replayed.headers.get("idempotent-replayed")).toBe("true");
  }, 30_000);

  test("CPU time is counted by the day, once a job has ended", async () => {
    const { url } = deployment.api;
    const { headers, body } = await post(url, cpu, SPINS);
    expect(headers.get("ratelimit-policy")).toBe('"cpu";q=1;w=86400;qu="cpu-seconds"');
    expect(headers.get("ratelimit")).toBe('"cpu";r=1;t=86400');
    await (await fetch(`${url}/jobs/${body.id}/logs/stream`, { headers: cpu.headers })).text();
    const refused = await post(url, cpu, "print(1)\n");
    expectRefused(refused, "/cpu_sec_per_day");
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(86_000);
  }, 30_000);

  test("a key without quotas has none, and no header of them", async () => {
    const { status, headers } = await post(deployment.api.url, free, "print(1)\n");
    expect(status).toBe(202);
    expect([headers.get("ratelimit"), headers.get("ratelimit-policy")]).toEqual([null, null]);
  });

  test("a full queue is told to everybody, as something that passes", async () => {
    const { url } = deployment.api;
    const answers: Answer[] = [];
    // As many as wait, and as many as run in each of two workers.
    while (answers.at(-1)?.status !== 503 && answers.length <= 30 + 4)
      answers.push(await post(url, free, SLEEPS));
    const refused = answers.at(-1);
    expect(refused).toMatchObject({ status: 503, body: { code: "queue_full" } });
    expect(refused?.headers.get("retry-after")).toBe("5");
    const parallel = await Promise.all(Array.from({ length: 20 }, () => post(url, free, SLEEPS)));
    expect(parallel.filter(({ status }) => status === 202)).toEqual([]);
    const ids = answers.flatMap(({ status, body }) => (status === 202 ? [body.id] : []));
    await Promise.all(ids.map((id) => cancel(url, free, id)));
    expect((await post(url, free, "print(1)\n")).status).toBe(202);
  }, 120_000);
});

test("what was used is remembered by a server that is started again", async () => {
  const dataDir = await freshDataDir();
  const key = await createKey(dataDir, "ci", "--submits-per-minute", "3", "--max-active", "2");
  const first = await startService({ dataDir, env: { DRAIN_SEC: "0" } });
  const { body: ended } = await post(first.url, key, "print(1)\n");
  const stream = `${first.url}/jobs/${ended.id}/logs/stream`;
  await (await fetch(stream, { headers: key.headers })).text();
  await post(first.url, key, SLEEPS);
  const { body } = await post(first.url, key, SLEEPS);
  await first.kill9();
  const second = await startService({ dataDir, env: { DRAIN_SEC: "0" } });
  expectRefused(await post(second.url, key, "print(1)\n"), "/max_active");
  await cancel(second.url, key, body.id);
  expectRefused(await post(second.url, key, "print(1)\n"), "/submits_per_minute");
  await second.stop();
  await removeDataDir(dataDir);
}, 60_000);
