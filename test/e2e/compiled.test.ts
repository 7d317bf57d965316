import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

import { submissionForm, submit, type Submission, waitForEnd } from "../support/client.ts";
import { DEPLOYMENTS } from "../support/deployments.ts";
import { untilNoProcessWith } from "../support/guests.ts";
import { Scrape } from "../support/prometheus-text.ts";
import { hasRedisServer } from "../support/redis-server.ts";
import {
  cancel,
  cProgram,
  HELLO_C,
  runJob,
  runtimesOf,
  startReady,
  stopAndRemove,
  untilPrinted,
  untilReady,
} from "../support/ready-service.ts";
import { unlessAbsent } from "../support/runtimes.ts";
import { type RunningService, startService } from "../support/service.ts";

/* What is compiled once for many jobs, and what ends a job while it is compiled. */

const SLOW_MS = 60_000;

/** An API process and two workers. */
const startRedisWithWorkers = (env: Readonly<Record<string, string>>) =>
  DEPLOYMENTS.at(-1)!.start(env);

/** Says that it has begun; then come a trillion empty statements, which take the compiler no memory. */
const ENDLESS = [
  "#warning begun",
  "#define A0 ;;;;;;;;;;",
  ...Array.from(
    { length: 12 },
    (_, level) => `#define A${level + 1} ${`A${level} `.repeat(10).trim()}`,
  ),
  "int main(void) { A12 return 0; }",
].join("\n");

let service: RunningService;
beforeAll(async () => {
  service = await startReady();
}, 60_000);
afterAll(() => stopAndRemove(service));

/** The body of a test of a language, where that is installed. */
const where = (language: string, body: () => Promise<void>) => async () =>
  unlessAbsent(language, (await runtimesOf(service)).absent, body);

const compiles = async () =>
  new Scrape(await (await fetch(`${service.url}/metrics`)).text()).nonZero(
    "jobrunner_compiles_total",
  );

describe("compiled once", () => {
  const warning = `#warning ${crypto.randomUUID()}\n`;
  const submission = (word: string): Submission => ({
    spec: { entry: "main.c", args: [word] },
    code: {
      "main.c": `${warning}#include <stdio.h>\nint main(int n, char **v) { char s[9]; fgets(s, 9, fopen("in.txt", "r")); printf("%s %s\\n", v[1], s); }\n`,
    },
    inputs: { "in.txt": word },
  });

  test(
    "the next job with the same code runs without its compiler, on its own input",
    where("c", async () => {
      const before = await compiles();
      const first = await runJob(service, submission("one"));
      const second = await runJob(service, submission("two"));
      expect([first.stdout, second.stdout]).toEqual(["one one\n", "two two\n"]);
      expect([first.compiler, first.stderr]).toEqual([expect.stringContaining("#warning"), ""]);
      expect([second.compiler, second.stderr]).toEqual(["", ""]);
      expect(second.job.artifacts).toEqual([]);
      expect(first.job.compile_usage!.cpu_ms).toBeGreaterThan(0);
      expect(second.job.compile_usage).toBeNull();
      const { made = 0, cached = 0 } = await compiles();
      expect([made, cached]).toEqual([(before["made"] ?? 0) + 1, (before["cached"] ?? 0) + 1]);
    }),
  );

  test(
    "a submit that waits is answered with what the compiler printed",
    where("c", async () => {
      const response = await fetch(`${service.url}/jobs`, {
        method: "POST",
        headers: { Prefer: "wait=30" },
        body: submissionForm(cProgram("int main(void) { return nothing; }\n")),
      });
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({
        reason: "compile_error",
        stdout: "",
        stderr: "",
        compiler: expect.stringContaining("undeclared"),
        compiler_truncated: false,
      });
    }),
  );

  test(
    "what does not compile is compiled again",
    where("c", async () => {
      const before = await compiles();
      for (let time = 0; time < 2; time++) {
        const { job } = await runJob(service, cProgram("int main(void) { return twice; }\n"));
        expect(job.reason).toBe("compile_error");
      }
      expect((await compiles())["failed"]).toBe((before["failed"] ?? 0) + 2);
    }),
  );

  test(
    "what is kept is no job, is nobody else's to read, and stays within its bounds",
    where("c", async () => {
      const small = await startReady({ COMPILE_CACHE_MB: "1" });
      try {
        // Half a MiB that has to be in the program.
        for (const number of [1, 2, 3])
          await runJob(small, cProgram(`char data[1 << 19] = {${number}};\n${HELLO_C}`));
        const folder = join(small.dataDir, ".compiled");
        const names = readdirSync(folder);
        const bytes = names.map((name) => statSync(join(folder, name)).size);
        expect(names.length).toBe(1);
        expect(bytes.reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(1024 * 1024);
        expect(statSync(folder).mode & 0o777).toBe(0o700);
        for (const name of [".compiled", names[0]!]) {
          const answer = await fetch(`${small.url}/jobs/${encodeURIComponent(name)}`);
          expect(answer.status).toBe(404);
        }
      } finally {
        await stopAndRemove(small);
      }
    }),
    SLOW_MS,
  );
});

test.skipIf(!hasRedisServer())(
  "workers on Redis say what they compile, and share what they have compiled",
  async () => {
    const deployment = await startRedisWithWorkers({ WORKER_CONCURRENCY: "1" });
    try {
      const { api } = deployment;
      await untilReady(api);
      const { items, absent } = await runtimesOf(api);
      await unlessAbsent("c", absent, async () => {
        expect(items.find(({ name }) => name === "c")?.compiles).toBe(true);
        const warning = `#warning ${crypto.randomUUID()}\n${HELLO_C}`;
        const first = await runJob(api, cProgram(warning));
        expect(first.compiler).toContain("#warning");
        // One job at a time each: of two at once the worker that did not compile it has one, once it is up.
        const others = await Promise.all([1, 2].map(() => runJob(api, cProgram(warning))));
        for (const each of [first, ...others]) expect(each.stdout).toBe("hello\n");
        expect(others.map(({ compiler }) => compiler)).toEqual(["", ""]);
      });
    } finally {
      await deployment.stop();
    }
  },
  SLOW_MS,
);

describe("an end in the middle of the compile", () => {
  test(
    "a job is cancelled with its compiler",
    where("c", async () => {
      const entry = `m${crypto.randomUUID()}.c`;
      const { id } = await submit(service.url, { spec: { entry }, code: { [entry]: ENDLESS } });
      await untilPrinted(service.url, id, "begun");
      await cancel(service.url, id);
      const job = await waitForEnd(service.url, id);
      expect(job).toMatchObject({ status: "cancelled", reason: "cancelled", usage: null });
      await untilNoProcessWith(entry);
    }),
    SLOW_MS,
  );

  test(
    "a compiler that does not come to its end is ended, and the job says by which limit",
    where("c", async () => {
      const short = await startReady({ COMPILE_TIMEOUT_SEC: "1" });
      try {
        const { job } = await runJob(short, cProgram(ENDLESS));
        expect(job).toMatchObject({ status: "failed", reason: "compile_error" });
        expect(job.error).toContain("COMPILE_TIMEOUT_SEC");
        const { job: good } = await runJob(short, cProgram(HELLO_C));
        expect(good.status).toBe("succeeded");
      } finally {
        await stopAndRemove(short);
      }
    }),
    SLOW_MS,
  );

  test(
    "a server that is killed leaves no half of it behind, and the next one compiles the job anew",
    where("c", async () => {
      const entry = `m${crypto.randomUUID()}.c`;
      const first = await startReady();
      const { id } = await submit(first.url, { spec: { entry }, code: { [entry]: ENDLESS } });
      await untilPrinted(first.url, id, "begun");
      await first.kill9();
      const again = await startService({ dataDir: first.dataDir });
      try {
        await untilNoProcessWith(entry);
        await untilPrinted(again.url, id, "begun");
        await cancel(again.url, id);
        const job = await waitForEnd(again.url, id);
        expect(job).toMatchObject({ status: "cancelled", attempt: 2 });
        expect(existsSync(join(again.dataDir, ".compiled"))).toBe(false);
      } finally {
        await stopAndRemove(again);
      }
    }),
    SLOW_MS,
  );

  test(
    "a worker that shuts down hands the job back, and the next one compiles it anew",
    where("c", async () => {
      const entry = `m${crypto.randomUUID()}.c`;
      const first = await startReady({ DRAIN_SEC: "0" });
      const { id } = await submit(first.url, { spec: { entry }, code: { [entry]: ENDLESS } });
      await untilPrinted(first.url, id, "begun");
      await first.stop();
      await untilNoProcessWith(entry);
      const again = await startService({ dataDir: first.dataDir });
      try {
        await untilPrinted(again.url, id, "begun");
        await cancel(again.url, id);
        const job = await waitForEnd(again.url, id);
        expect(job).toMatchObject({ status: "cancelled", attempt: 2 });
      } finally {
        await stopAndRemove(again);
      }
    }),
    SLOW_MS,
  );
});
