import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";

import { freePort } from "./support/redis-server.ts";
import { removeDataDir, type RunningService, startService } from "./support/service.ts";

/*
 * Every example runs as a reader would run it, against a real service. And each one has to notice what is wrong: a server
 * that is not there, a job that ended otherwise, an output that is not the program's.
 */

const EXAMPLES = join(import.meta.dir, "../examples");

const INTERPRETERS: Readonly<Record<string, string>> = {
  "run.sh": "sh",
  "run.py": "python3",
  "run.ts": process.execPath,
};

/** Name of an example to the command that runs it. Each folder holds exactly one client. */
const examples = new Map(
  readdirSync(EXAMPLES, { withFileTypes: true })
    .filter((each) => each.isDirectory())
    .map(({ name }) => [name, commandOf(name)]),
);

function commandOf(name: string): readonly string[] {
  const clients = readdirSync(join(EXAMPLES, name)).filter((file) => file in INTERPRETERS);
  const [client = ""] = clients;
  if (clients.length !== 1) throw new Error(`examples/${name} has ${clients.length} clients`);
  return [INTERPRETERS[client] ?? "", join(EXAMPLES, name, client)];
}

interface Run {
  readonly name: string;
  readonly exitCode: number;
  readonly output: string;
}

async function run(name: string, url: string): Promise<Run> {
  const child = Bun.spawn([...(examples.get(name) ?? [])], {
    // Not the folder of the example, so that one which leans on that would fail.
    cwd: "/",
    env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "", JOB_RUNNER_URL: url },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { name, exitCode, output: stdout + stderr };
}

/** The examples that end with 0, sorted. */
async function passing(url: string): Promise<readonly string[]> {
  const runs = await Promise.all([...examples.keys()].map((name) => run(name, url)));
  return runs.filter(({ exitCode }) => exitCode === 0).map(({ name }) => name);
}

/** What of an answer is changed on its way to the client. */
type Lie = (text: string, path: string) => string;

/** A server that hands on to the real one, and tells `lie` about the answers, piece by piece, as they come. */
function startLiar(target: string, lie: Lie) {
  return Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      const { method, body } = request;
      const headers = new Headers(request.headers);
      headers.delete("host");
      const answer = await fetch(target + pathname + search, { method, body, headers });
      const decoder = new TextDecoder();
      const encoder = new TextEncoder();
      const lies = new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          const text = decoder.decode(chunk, { stream: true });
          controller.enqueue(encoder.encode(lie(text, pathname)));
        },
      });
      return new Response(answer.body?.pipeThrough(lies) ?? null, answer);
    },
  });
}

let service: RunningService;

beforeAll(async () => {
  service = await startService({ env: { WORKER_CONCURRENCY: "8" } });
}, 30_000);

afterAll(async () => {
  await service.stop();
  await removeDataDir(service.dataDir);
});

for (const name of examples.keys()) {
  test(`${name} finds what it expects`, async () => {
    const { exitCode, output } = await run(name, service.url);
    expect({ exitCode, output }).toEqual({ exitCode: 0, output });
  }, 60_000);
}

test("without a server every example fails", async () => {
  expect(await passing(`http://127.0.0.1:${await freePort()}`)).toEqual([]);
}, 60_000);

const lies: readonly (readonly [what: string, lie: Lie])[] = [
  [
    "a job that ended otherwise",
    (text) => text.replace(/"status":"(?:succeeded|failed|timed_out)"/g, '"status":"lost"'),
  ],
  [
    "a snapshot or an artifact with other bytes",
    (text, path) => (/\/logs$|\/artifacts\/./.test(path) ? text.replace(/[aeo]/g, "x") : text),
  ],
];

for (const [what, lie] of lies) {
  test(`${what} is noticed by every example`, async () => {
    using liar = startLiar(service.url, lie);
    expect(await passing(liar.url.origin)).toEqual([]);
  }, 60_000);
}

test("it is the lies that are noticed: handed on as they are, the answers do for every example", async () => {
  using wire = startLiar(service.url, (text) => text);
  expect([...(await passing(wire.url.origin))].sort()).toEqual([...examples.keys()].sort());
}, 60_000);
