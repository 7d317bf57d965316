import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import {
  getJob,
  runPython,
  snapshot,
  submit,
  submitPython,
  waitForEnd,
} from "../support/client.ts";
import { type Deployment, DEPLOYMENTS } from "../support/deployments.ts";

describe.each(DEPLOYMENTS)("jobs on $name", ({ start }) => {
  let deployment: Deployment;
  let url: string;
  beforeAll(async () => {
    deployment = await start();
    ({ url } = deployment.api);
  }, 60_000);
  afterAll(() => deployment.stop());

  test("a program runs with its files, arguments, environment and input, and its files come back", async () => {
    const source = `
import os, sys
print(sys.argv[1:], os.environ["GREETING"], sys.stdin.read(), os.getcwd())
import pkg.util
print(pkg.util.shout(open("data/words.txt").read()))
os.makedirs("out", exist_ok=True)
open("out/résumé.txt", "w").write("made")
open("data/words.txt", "a").write("!")
`;
    const { id } = await submit(url, {
      spec: {
        entry: "main.py",
        args: ["--flag", "a b", "$HOME;`x`"],
        env: { GREETING: "hej" },
        stdin: "typed",
      },
      code: { "main.py": source, "pkg/util.py": "def shout(s): return s.upper()\n" },
      inputs: { "data/words.txt": "words", "untouched.bin": new Uint8Array([0, 255, 10]) },
    });
    const job = await waitForEnd(url, id);
    expect({ ...job, log: (await snapshot(url, id)).toString() }).toMatchObject({
      status: "succeeded",
      reason: null,
      exit_code: 0,
      signal: null,
      attempt: 1,
      error: null,
      log: "['--flag', 'a b', '$HOME;`x`'] hej typed /work\nWORDS\n",
    });
    // Created or changed; an input that nobody touched is neither.
    expect(job.artifacts.map(({ name, size }) => [name, size]).toSorted()).toEqual([
      ["data/words.txt", 6],
      ["out/résumé.txt", 4],
    ]);
    const contents = await Promise.all(
      job.artifacts.map(async (artifact) => [
        artifact.name,
        await (await fetch(`${url}${artifact.url}`)).text(),
      ]),
    );
    expect(Object.fromEntries(contents)).toEqual({
      "data/words.txt": "words!",
      "out/résumé.txt": "made",
    });
  });

  test.each([
    ["sys.exit(7)", { status: "failed", reason: "exit_code", exit_code: 7, signal: null }],
    ["sys.exit(137)", { status: "failed", reason: "exit_code", exit_code: 137, signal: null }],
    [
      "os.kill(os.getpid(), 9)",
      { status: "failed", reason: "signal", exit_code: null, signal: "SIGKILL" },
    ],
    [
      "os.kill(os.getpid(), 11)",
      { status: "failed", reason: "signal", exit_code: null, signal: "SIGSEGV" },
    ],
    ["raise ValueError('no')", { status: "failed", reason: "exit_code", exit_code: 1 }],
  ])("the end of `%s` is told as it was", async (statement, expected) => {
    const { job } = await runPython(url, `import os, sys\nprint("before")\n${statement}\n`);
    expect(job).toMatchObject(expected);
    expect((await snapshot(url, job.id)).toString()).toStartWith("before\n");
  });

  test("a program that outlives its time is ended, and what it printed and wrote is kept", async () => {
    const { job, log } = await runPython(
      url,
      `
import subprocess, time
open("partial.txt", "w").write("half")
print("started")
subprocess.Popen(["sleep", "1000"])
time.sleep(1000)
`,
      { timeout_sec: 1 },
    );
    expect(job).toMatchObject({ status: "timed_out", reason: "wall_limit" });
    expect(log).toBe("started\n");
    expect(job.artifacts.map(({ name }) => name)).toEqual(["partial.txt"]);
  });

  test("a program that spins past its CPU time is timed out for that", async () => {
    const { job } = await runPython(url, "while True: pass", { limits: { cpu_sec: 1 } });
    expect(job).toMatchObject({ status: "timed_out", reason: "cpu_limit" });
  });

  test("output past its limit is dropped and counted, and the run goes on", async () => {
    const { job, log } = await runPython(
      url,
      "import sys\nfor _ in range(3): sys.stdout.write('x' * 1048576)\n",
      { limits: { output_mb: 2 } },
    );
    expect(job).toMatchObject({ status: "succeeded", exit_code: 0 });
    expect(job.log).toEqual({ bytes: 2 * 1024 * 1024, dropped_bytes: 1024 * 1024 });
    expect(log).toBe("x".repeat(2 * 1024 * 1024));
    const stream = await (await fetch(`${url}/jobs/${job.id}/logs/stream`)).text();
    expect(stream).toContain("event: gap\n");
    expect(stream).toContain('data: {"dropped_bytes":1048576}');
  });

  test("a running job is cancelled with everything it started; its stream ends", async () => {
    const { id } = await submitPython(
      url,
      "import subprocess, time\nprint('up')\nsubprocess.run(['sleep', '1000'])\n",
    );
    const stream = await fetch(`${url}/jobs/${id}/logs/stream`);
    const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("data: up")) text += (await reader?.read())?.value ?? "";
    const askedAtMs = performance.now();
    const answer = await fetch(`${url}/jobs/${id}/cancel`, { method: "POST" });
    expect(answer.status).toBe(202);
    for (let done = false; !done;) {
      const step = await reader?.read();
      text += step?.value ?? "";
      done = step?.done ?? true;
    }
    // The contract's bound is one second; the rest is the test's own overhead on a busy machine.
    expect(performance.now() - askedAtMs).toBeLessThan(3_000);
    expect(text).toContain('data: {"status":"cancelled","reason":"cancelled"');
    expect(await getJob(url, id)).toMatchObject({ status: "cancelled", reason: "cancelled" });
    const again = await fetch(`${url}/jobs/${id}/cancel`, { method: "POST" });
    expect(again.status).toBe(200);
  });

  test("a runtime of another minor version stands in, and the job says so", async () => {
    const { job } = await runPython(url, "print('hi')", { runtime: "python3.99" });
    expect(job.status).toBe("succeeded");
    expect(job.warnings.join()).toContain("python3.99");
  });

  test.each([
    ["main.sh", "echo from sh", "from sh\n"],
    ["main.js", "console.log('from js')", "from js\n"],
    ["main.ts", "const s: string = 'from ts'; console.log(s)", "from ts\n"],
  ])("%s runs by its extension", async (entry, source, expected) => {
    const { id } = await submit(url, { spec: { entry }, code: { [entry]: source } });
    const job = await waitForEnd(url, id);
    expect([job.status, (await snapshot(url, id)).toString()]).toEqual(["succeeded", expected]);
  });

  test("jobs are listed newest first, page by page, and by label", async () => {
    const label = { batch: crypto.randomUUID() };
    const ids: string[] = [];
    for (let index = 0; index < 3; index++)
      ids.unshift((await submitPython(url, "pass", { labels: label })).id);
    await Promise.all(ids.map((id) => waitForEnd(url, id)));
    const query = `label=batch:${label.batch}`;
    const found: string[] = [];
    let cursor = "";
    do {
      const page = await fetch(`${url}/jobs?${query}&limit=2${cursor}`);
      const { items, next_cursor: next } = (await page.json()) as {
        items: { id: string }[];
        next_cursor: string | null;
      };
      expect(items.length).toBeLessThanOrEqual(2);
      found.push(...items.map(({ id }) => id));
      cursor = next === null ? "" : `&cursor=${encodeURIComponent(next)}`;
    } while (cursor !== "");
    expect(found).toEqual(ids);
  });
});
