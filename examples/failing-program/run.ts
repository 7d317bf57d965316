#!/usr/bin/env bun
/*
 * How a program failed is told apart: an exit code, a signal, too much time by the clock, too much of the CPU. What it
 * printed before is kept in every case.
 */

const server = process.env["JOB_RUNNER_URL"] ?? "http://127.0.0.1:8000";

const ends = [
  {
    spec: { args: ["exit"] },
    expected: { status: "failed", reason: "exit_code", exit_code: 3, signal: null },
  },
  {
    spec: { args: ["signal"] },
    expected: { status: "failed", reason: "signal", exit_code: null, signal: "SIGSEGV" },
  },
  {
    spec: { args: ["sleep"], timeout_sec: 2 },
    expected: { status: "timed_out", reason: "wall_limit", exit_code: null, signal: "SIGKILL" },
  },
  {
    spec: { args: ["spin"], limits: { cpu_sec: 1 } },
    expected: { status: "timed_out", reason: "cpu_limit", exit_code: null, signal: "SIGXCPU" },
  },
];

/** Runs fail.py to its end; resolves to the job's record and what it printed. */
async function run(spec: object): Promise<{ job: Record<string, unknown>; log: string }> {
  const form = new FormData();
  form.append("spec", JSON.stringify({ entry: "fail.py", ...spec }));
  form.append("code_files", Bun.file(`${import.meta.dir}/fail.py`), "fail.py");
  const submitted = await fetch(`${server}/jobs`, { method: "POST", body: form });
  if (submitted.status !== 202) throw new Error(`POST /jobs answered ${submitted.status}`);
  const url = `${server}${submitted.headers.get("location")}`;
  // A stream is over when its job is.
  await (await fetch(`${url}/logs/stream`)).text();
  const job = (await (await fetch(url)).json()) as Record<string, unknown>;
  return { job, log: await (await fetch(`${url}/logs`)).text() };
}

let failures = 0;
for (const { spec, expected } of ends) {
  const { job, log } = await run(spec);
  const actual = Object.fromEntries(Object.keys(expected).map((name) => [name, job[name]]));
  const isRight =
    Bun.deepEquals(actual, expected) && log === "so far so good\n" && job["error"] === null;
  if (!isRight) failures++;
  console.log(`${isRight ? "as expected" : "WRONG"}: ${spec.args[0]} -> ${JSON.stringify(actual)}`);
}
process.exit(failures === 0 ? 0 : 1);
