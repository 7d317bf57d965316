import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { AppError } from "../../src/errors.ts";
import { execute } from "../../src/executor/execute.ts";
import type { LogSink } from "../../src/executor/executor.ts";
import type { JobRecord } from "../../src/jobs/job.ts";
import type { InstalledRuntime } from "../../src/runtimes/runtime.ts";
import type { GuestRequest, Sandbox } from "../../src/sandbox/sandbox.ts";
import { openWorkshop, type PrepareOptions, type Workshop } from "../support/workshop.ts";

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop();
});
afterAll(() => workshop.close());

/** Keeps what is printed, and tells when some of it has come. */
class Printed implements LogSink {
  text = "";
  #waiting: { readonly part: string; readonly resolve: () => void }[] = [];
  readonly ended: string[] = [];

  async write(_stream: "stdout" | "stderr", bytes: Uint8Array): Promise<void> {
    this.text += Buffer.from(bytes).toString();
    for (const { part, resolve } of this.#waiting) if (this.text.includes(part)) resolve();
  }

  endStream(stream: "stdout" | "stderr"): void {
    this.ended.push(stream);
  }

  until(part: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ part, resolve });
    return promise;
  }
}

async function claimed(script: string, options?: PrepareOptions): Promise<JobRecord> {
  await workshop.store.submit(await workshop.prepare(script, options));
  const job = await workshop.store.claim({ owner: "test", slot: 0, token: crypto.randomUUID() });
  if (job === null) throw new Error("Nothing to claim");
  return job;
}

function run(
  job: JobRecord,
  log: LogSink,
  sandbox: Sandbox = workshop.sandbox,
  runtime: InstalledRuntime = workshop.shell,
) {
  const cancelled = new AbortController();
  const abandoned = new AbortController();
  let starts = 0;
  const executed = execute({
    job,
    slot: 0,
    runtime,
    sandbox,
    egress: workshop.egress,
    installer: workshop.installer,
    compiler: workshop.compiler,
    files: workshop.files,
    log,
    cancelled: cancelled.signal,
    abandoned: abandoned.signal,
    claimed: Promise.resolve(),
    onStarted: () => starts++,
  });
  const outcome = executed.then(async ({ outcome: ended, takeDown }) => {
    await takeDown();
    return ended;
  });
  return { outcome, cancelled, abandoned, starts: () => starts };
}

describe("executing a job", () => {
  test("new and changed files are kept, untouched inputs are not", async () => {
    const log = new Printed();
    const job = await claimed(
      "cat in.txt; echo more >> changed.txt; touch same.txt; echo new > new.txt",
      {
        inputs: { "in.txt": "input\n", "changed.txt": "before\n", "same.txt": "same" },
      },
    );
    const running = run(job, log);
    const outcome = await running.outcome;
    expect(running.starts()).toBe(1);
    expect(outcome).toMatchObject({ status: "succeeded", reason: null, exitCode: 0, error: null });
    expect(outcome?.artifacts.map(({ path }) => path).toSorted()).toEqual([
      "changed.txt",
      "new.txt",
    ]);
    expect(log.text).toBe("input\n");
    expect(log.ended.toSorted()).toEqual(["stderr", "stdout"]);
  });

  test("the program knows its job and its attempt", async () => {
    const log = new Printed();
    const job = await claimed('echo "$JOB_ID $JOB_ATTEMPT"');
    await run(job, log).outcome;
    expect(log.text).toBe(`${job.id} 1\n`);
  });

  test("the program knows the trace that it is part of, unless it was told of another", async () => {
    const traceparent = `00-${"1".repeat(32)}-${"2".repeat(16)}-01`;
    for (const [env, expected] of [
      [{}, traceparent],
      [{ TRACEPARENT: "of its own" }, "of its own"],
    ] as const) {
      const log = new Printed();
      const job = await claimed('echo "${TRACEPARENT-none}"', { spec: { env } });
      await run({ ...job, traceparent }, log).outcome;
      expect(log.text).toBe(`${expected}\n`);
    }
    const log = new Printed();
    await run(await claimed('echo "${TRACEPARENT-none}"'), log).outcome;
    expect(log.text).toBe("none\n");
  });

  test("a cancelled program ends as such, and its files are kept", async () => {
    const log = new Printed();
    const job = await claimed("echo kept > kept.txt; echo up; sleep 1000");
    const { outcome, cancelled } = run(job, log);
    await log.until("up");
    cancelled.abort();
    const result = await outcome;
    expect(result).toMatchObject({ status: "cancelled", reason: "cancelled" });
    expect(result?.artifacts.map(({ path }) => path)).toEqual(["kept.txt"]);
  });

  test("one that is cancelled before it starts does not get far", async () => {
    const job = await claimed("sleep 1000");
    const { outcome, cancelled } = run(job, new Printed());
    cancelled.abort();
    expect(await outcome).toMatchObject({ status: "cancelled" });
  });

  test("an abandoned run has no result", async () => {
    const log = new Printed();
    const job = await claimed("echo up; sleep 1000");
    const { outcome, abandoned } = run(job, log);
    await log.until("up");
    abandoned.abort();
    expect(await outcome).toBeNull();
  });

  test("a sandbox that does not start is the job's end, not an exception", async () => {
    const broken: Sandbox = {
      start: () => Promise.reject(new AppError("sandbox_error", "no namespaces")),
      selfTest: workshop.sandbox.selfTest,
    };
    const running = run(await claimed("true"), new Printed(), broken);
    const outcome = await running.outcome;
    expect(running.starts()).toBe(0);
    expect(outcome).toMatchObject({
      status: "failed",
      reason: "sandbox_error",
      error: "no namespaces",
      exitCode: null,
    });
  });

  test("an interpreter that has more threads already than a job may have does not run it", async () => {
    const interpreter = { argv: ["/bin/sh"], env: {} };
    const requests: GuestRequest[] = [];
    const asked: Sandbox = {
      async start(request) {
        requests.push(request);
        throw new AppError("sandbox_error", "asked enough");
      },
      selfTest: workshop.sandbox.selfTest,
    };
    const runtime = { ...workshop.shell, interpreterFor: () => interpreter, waitingThreads: 8 };
    for (const processes of [7, 8]) {
      const { spec } = await workshop.prepare("true");
      const limits = { ...spec.limits, processes };
      await run(await claimed("true", { spec: { limits } }), new Printed(), asked, runtime).outcome;
    }
    expect(requests.map((request) => request.interpreter)).toEqual([undefined, interpreter]);
  });

  test("a job whose files are gone ends with the sandbox's error", async () => {
    const job = await claimed("echo never");
    await workshop.files.remove(job.id);
    const log = new Printed();
    const outcome = await run(job, log).outcome;
    expect(outcome).toMatchObject({ status: "failed", reason: "sandbox_error" });
    expect(outcome?.error).not.toBe("");
    expect(log.text).toBe("");
  });
});
