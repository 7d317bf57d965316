import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { openApiDocument } from "../../src/api/openapi.ts";
import { eventually } from "../contract/store-harness.ts";
import { type JobJson, submissionForm } from "../support/client.ts";
import { type Deployment, DEPLOYMENTS } from "../support/deployments.ts";
import { createKey, type TestKey } from "../support/keys.ts";

/*
 * Two keys cannot see, end, repeat or read each other's jobs, by any route: an answer about another's job is that about no
 * job, byte for byte but for the id. The routes are those of the API itself, so that a new one cannot be forgotten.
 */

/** Of no job. */
const NO_ID = "00000000-0000-4000-8000-000000000000";

/** Every route about one job. */
const JOB_ROUTES = Object.entries(openApiDocument().paths)
  .filter(([path]) => path.includes("{id}"))
  .flatMap(([path, item]) =>
    Object.keys(item).map((method) => ({ method: method.toUpperCase(), path })),
  );

/** What a request may say besides: each is sent to every route that takes it, and to those that do not. */
const VARIANTS: readonly {
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
}[] = [
  {},
  { query: "?wait=1" },
  { query: "?tail=1" },
  { query: "?format=ndjson" },
  { query: "?attempt=all" },
  { query: "?signed=60" },
  { query: "?unknown=1" },
  { headers: { Range: "bytes=0-1" } },
  { headers: { "Last-Event-ID": "1764000000000-1.0" } },
  { headers: { Prefer: "wait=1" } },
  { headers: { "Idempotency-Key": "again" } },
];

/** With these, out of all files that a job may have, its path is filled in. */
const FILE_NAMES = ["main.py", "out.txt", "none"];

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

interface Told {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

/** An answer, less what is of no job: the date, the request's id, and the id that was asked for. */
async function told(response: Response, id: string): Promise<Told> {
  const requestId = response.headers.get("x-request-id") ?? "";
  const plain = (text: string) => text.replaceAll(id, "ID").replaceAll(requestId, "REQUEST");
  const headers = [...response.headers]
    .filter(([name]) => name !== "date")
    .map(([name, value]) => [name, plain(value)] as const);
  return { status: response.status, headers, body: plain(await response.text()) };
}

describe.each(DEPLOYMENTS)("jobs of two keys on $name", ({ start }) => {
  let deployment: Deployment;
  let [owner, other, admin]: TestKey[] = [];

  beforeAll(async () => {
    deployment = await start({ API_KEYS: "the-operator", WORKER_CONCURRENCY: "2" });
    const { api } = deployment;
    owner = await createKey(api.dataDir, "owner");
    other = await createKey(api.dataDir, "other", "--max-active", "100");
    admin = await createKey(api.dataDir, "admin", "--scopes", "admin");
    await untilRuntimes();
  }, 60_000);
  afterAll(() => deployment.stop(), 60_000);

  const as = async (key: TestKey | undefined, route: string, init: RequestInit = {}) => {
    const [method = "", path = ""] = route.split(" ");
    const headers = { ...key?.headers, ...(init.headers as Record<string, string> | undefined) };
    return await fetch(`${deployment.api.url}${path}`, { ...init, method, headers });
  };
  /** A worker that has just begun to work tells what it can run a moment later. */
  const untilRuntimes = async () => {
    const count = async () => {
      const response = await as(owner, "GET /runtimes");
      return ((await response.json()) as { readonly items: readonly object[] }).items.length;
    };
    await eventually(count, (items) => items > 0);
  };
  const submit = async (key: TestKey | undefined, source: string, headers = {}) => {
    const body = submissionForm({ spec: { entry: "main.py" }, code: { "main.py": source } });
    const response = await as(key, "POST /jobs", { body, headers });
    expect(response.status).toBe(202);
    return (await response.json()) as JobJson;
  };
  const jobOf = async (key: TestKey | undefined, id: string) =>
    (await (await as(key, `GET /jobs/${id}`)).json()) as JobJson;
  const ended = async (key: TestKey | undefined, id: string) => {
    await (await as(key, `GET /jobs/${id}/logs/stream`)).text();
    return await jobOf(key, id);
  };
  /** An ended job, one that runs, and what is known of them. */
  const jobsOfOwner = async () => {
    const done = await submit(owner, "open('out.txt', 'w').write('mine')\nprint('mine')\n");
    const running = await submit(owner, "import time\nprint('up', flush=True)\ntime.sleep(60)\n");
    await ended(owner, done.id);
    const isRunning = ({ status }: JobJson) => status === "running";
    await eventually(() => jobOf(owner, running.id), isRunning);
    return [await jobOf(owner, done.id), await jobOf(owner, running.id)] as const;
  };

  test("another's job is answered as none is, by every route and in every way", async () => {
    const jobs = await jobsOfOwner();
    const asked: Told[] = [];
    for (const { method, path } of JOB_ROUTES)
      for (const { query = "", headers = {} } of VARIANTS)
        for (const name of path.includes("{filename}") ? FILE_NAMES : [""])
          for (const { id } of jobs) {
            const ask = async (about: string) => {
              const filled = path.replace("{id}", about).replace("{filename}", name);
              const response = await as(other, `${method} ${filled}${query}`, { headers });
              return await told(response, about);
            };
            const answer = await ask(id);
            expect([method, path, query, headers, answer]).toEqual([
              method,
              path,
              query,
              headers,
              await ask(NO_ID),
            ]);
            asked.push(answer);
          }
    // 422 is the query's, whatever the job.
    expect(new Set(asked.map(({ status }) => status))).toEqual(new Set([404, 422]));
    for (const job of jobs) {
      const now = await jobOf(owner, job.id);
      expect([now.status, now.attempt, now.artifacts]).toEqual([
        job.status,
        job.attempt,
        job.artifacts,
      ]);
    }
    await as(owner, `POST /jobs/${jobs[1].id}/cancel`);
  }, 120_000);

  test("another's job takes no longer to refuse than none does, however large it is", async () => {
    const body = submissionForm({
      spec: { entry: "main.py", stdin: "x".repeat(1024 * 1024) },
      code: { "main.py": "print('mine')\n" },
    });
    const { id } = (await (await as(owner, "POST /jobs", { body })).json()) as JobJson;
    await ended(owner, id);
    const durations = { none: [] as number[], others: [] as number[], own: [] as number[] };
    const ask = async (into: number[], key: TestKey | undefined, about: string) => {
      const startMs = performance.now();
      await (await as(key, `GET /jobs/${about}`)).arrayBuffer();
      into.push(performance.now() - startMs);
    };
    // In turn, each as often first, so that whatever slows the machine down meets both alike.
    for (let times = 0; times < 200; times += 1) {
      if (times % 3 === 0) await ask(durations.own, owner, id);
      if (times % 2 === 0) await ask(durations.none, other, NO_ID);
      await ask(durations.others, other, id);
      if (times % 2 === 1) await ask(durations.none, other, NO_ID);
    }
    const [none, others, own] = [durations.none, durations.others, durations.own].map(median);
    // Reading the record is what would tell: it takes so long that it would be seen.
    expect(own).toBeGreaterThan((none ?? 0) + 1);
    expect(Math.abs((others ?? 0) - (none ?? 0))).toBeLessThan(((own ?? 0) - (none ?? 0)) / 8);
  }, 60_000);

  test("a listing shows own jobs alone, and no cursor tells of others", async () => {
    const mine: string[] = [];
    for (let index = 0; index < 3; index += 1) {
      await submit(owner, "print('mine')\n");
      mine.push((await submit(other, "print('theirs')\n")).id);
    }
    const seen: string[] = [];
    let next: string | null = "";
    while (next !== null) {
      const cursor: string = next === "" ? "" : `&cursor=${encodeURIComponent(next)}`;
      const page = (await (await as(other, `GET /jobs?limit=1${cursor}`)).json()) as {
        readonly items: readonly JobJson[];
        readonly next_cursor: string | null;
      };
      const [item] = page.items;
      if (item !== undefined) seen.push(item.id);
      next = page.next_cursor;
      if (next !== null) expect(next).toEndWith(`_${item?.id ?? "none"}`);
    }
    expect(seen).toEqual(mine.toReversed());
  }, 30_000);

  test("nothing tells a key how many jobs there are", async () => {
    for (const path of ["/stats", "/metrics"]) {
      const response = await as(other, `GET ${path}`);
      expect([response.status, await response.json()]).toMatchObject([
        403,
        { code: "forbidden_scope" },
      ]);
    }
  });

  test("an Idempotency-Key is each key's own", async () => {
    const headers = { "Idempotency-Key": "the-same" };
    const first = await submit(owner, "print(1)\n", headers);
    const second = await submit(other, "print(2)\n", headers);
    expect(second.id).not.toBe(first.id);
    expect((await submit(owner, "print(1)\n", headers)).id).toBe(first.id);
  });

  test("admin, and a key of API_KEYS, see and do everything to everybody's jobs", async () => {
    const { id } = await submit(owner, "open('out.txt', 'w').write('mine')\nprint('mine')\n");
    const operator = { ...owner, headers: { "X-API-Key": "the-operator" } } as TestKey;
    await ended(admin, id);
    for (const key of [admin, operator]) {
      expect(await (await as(key, `GET /jobs/${id}/logs`)).text()).toBe("mine\n");
      expect(await (await as(key, `GET /jobs/${id}/artifacts/out.txt`)).text()).toBe("mine");
      const { items } = (await (await as(key, "GET /jobs?limit=200")).json()) as {
        readonly items: readonly JobJson[];
      };
      expect(items.map((job) => job.id)).toContain(id);
    }
    const again = await as(admin, `POST /jobs/${id}/rerun`);
    expect(again.status).toBe(202);
    // It is a job of who asked for it.
    const { id: repeated } = (await again.json()) as JobJson;
    expect((await as(owner, `GET /jobs/${repeated}`)).status).toBe(404);
    expect((await as(admin, `DELETE /jobs/${id}`)).status).toBe(204);
    expect((await as(owner, `GET /jobs/${id}`)).status).toBe(404);
  }, 30_000);
});
