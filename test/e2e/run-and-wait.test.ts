import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import {
  getJob,
  type JobJson,
  runPython,
  snapshot,
  submit,
  submissionForm,
  submitPython,
  waitForEnd,
} from "../support/client.ts";
import { type Deployment, DEPLOYMENTS } from "../support/deployments.ts";

interface EndedJson extends JobJson {
  readonly stdout: string;
  readonly stderr: string;
  readonly stdout_truncated: boolean;
  readonly stderr_truncated: boolean;
}

describe.each(DEPLOYMENTS)("run and wait on $name", ({ start }) => {
  let deployment: Deployment;
  let url: string;
  beforeAll(async () => {
    deployment = await start();
    ({ url } = deployment.api);
  }, 60_000);
  afterAll(() => deployment.stop());

  const run = (source: string, prefer: string, spec: object = {}) =>
    fetch(`${url}/jobs`, {
      method: "POST",
      headers: { Prefer: prefer },
      body: submissionForm({ spec: { entry: "main.py", ...spec }, code: { "main.py": source } }),
    });

  test("a submit that prefers to wait is answered with the end and the output", async () => {
    const source = "import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(3)\n";
    const response = await run(source, "wait=30");
    expect(response.status).toBe(200);
    expect(response.headers.get("preference-applied")).toBe("wait=30");
    const ended = (await response.json()) as EndedJson;
    expect(response.headers.get("location")).toBe(`/jobs/${ended.id}`);
    expect(ended).toMatchObject({
      status: "failed",
      exit_code: 3,
      stdout: "out\n",
      stderr: "err\n",
      stdout_truncated: false,
      stderr_truncated: false,
    });
    expect(ended).toMatchObject(await getJob(url, ended.id));
  });

  test("an output of more than a mebibyte is cut there, and says so", async () => {
    const source = "import sys\nsys.stdout.write('é' * 700_000)\nsys.stderr.write('e' * 10)\n";
    const ended = (await (await run(source, "wait=30")).json()) as EndedJson;
    expect(ended.stdout === "é".repeat(512 * 1024)).toBe(true);
    expect([ended.stdout_truncated, ended.stderr_truncated]).toEqual([true, false]);
    expect(ended.stderr).toBe("e".repeat(10));
  });

  test("a job that takes longer is answered as any other, and goes on", async () => {
    const response = await run("import time\ntime.sleep(60)\n", "wait=0");
    expect(response.status).toBe(202);
    expect(response.headers.get("preference-applied")).toBeNull();
    const { id } = (await response.json()) as JobJson;
    await fetch(`${url}/jobs/${id}/cancel`, { method: "POST" });
    expect((await waitForEnd(url, id)).status).toBe("cancelled");
  });

  test("GET waits as long as it is told to, or to the end", async () => {
    const { id } = await submitPython(url, "import time\ntime.sleep(0.4)\n");
    const early = (await (await fetch(`${url}/jobs/${id}?wait=0`)).json()) as JobJson;
    expect(["queued", "running"]).toContain(early.status);
    const late = (await (await fetch(`${url}/jobs/${id}?wait=30`)).json()) as JobJson;
    expect(late.status).toBe("succeeded");
    for (const wait of ["-1", "301", "x", "1.5", ""])
      expect((await fetch(`${url}/jobs/${id}?wait=${wait}`)).status).toBe(422);
  });

  test("a rerun is another job of the same spec and files, small and large", async () => {
    const large = "x".repeat(100_000);
    const first = await submit(url, {
      spec: { entry: "main.py", args: ["a"], env: { B: "b" }, stdin: "c", labels: { d: "e" } },
      code: {
        "main.py":
          "import os, sys\nprint(sys.argv[1], os.environ['B'], sys.stdin.read(), len(open('data').read()))\n",
      },
      inputs: { data: large },
    });
    await waitForEnd(url, first.id);
    const response = await fetch(`${url}/jobs/${first.id}/rerun`, {
      method: "POST",
      headers: { Prefer: "wait=30" },
    });
    const again = (await response.json()) as EndedJson & { readonly spec: unknown };
    expect(again.id).not.toBe(first.id);
    expect([again.status, again.stdout]).toEqual(["succeeded", "a b c 100000\n"]);
    const spec = ((await getJob(url, first.id)) as JobJson & { readonly spec: unknown }).spec;
    expect(again.spec).toEqual(spec);
    // The second one has files of its own.
    await fetch(`${url}/jobs/${first.id}`, { method: "DELETE" });
    expect(await (await fetch(`${url}/jobs/${again.id}/files/data`)).text()).toBe(large);
  });

  test("a rerun that is repeated under its key is one job, and is no submit of the same", async () => {
    const { job } = await runPython(url, "print(1)");
    const headers = { "Idempotency-Key": crypto.randomUUID() };
    const rerun = () => fetch(`${url}/jobs/${job.id}/rerun`, { method: "POST", headers });
    const first = (await (await rerun()).json()) as JobJson;
    const second = await rerun();
    expect(second.headers.get("idempotent-replayed")).toBe("true");
    expect(((await second.json()) as JobJson).id).toBe(first.id);
  });

  test("an ended job that is removed is gone, with all that belongs to it; one that runs stays", async () => {
    const { job } = await runPython(url, "open('a', 'w').write('x' * 100_000)\nprint(1)\n");
    const remove = (id: string) => fetch(`${url}/jobs/${id}`, { method: "DELETE" });
    expect((await remove(job.id)).status).toBe(204);
    for (const path of [
      "",
      "/logs",
      "/logs/stream",
      "/artifacts",
      "/artifacts/a",
      "/files/main.py",
    ])
      expect((await fetch(`${url}/jobs/${job.id}${path}`)).status).toBe(404);
    expect((await remove(job.id)).status).toBe(404);

    const running = await submitPython(url, "import time\nprint(1, flush=True)\ntime.sleep(60)\n");
    const refused = await remove(running.id);
    expect(refused.status).toBe(409);
    expect(await refused.json()).toMatchObject({ code: "job_active" });
    await fetch(`${url}/jobs/${running.id}/cancel`, { method: "POST" });
    await waitForEnd(url, running.id);
    expect((await snapshot(url, running.id)).length).toBeLessThanOrEqual(2);
    expect((await remove(running.id)).status).toBe(204);
  });

  test("200 that wait at once are all answered", async () => {
    const runs = Array.from({ length: 200 }, async (_, n) => {
      const response = await run(`print(${n})`, "wait=120");
      return (await response.json()) as EndedJson;
    });
    const outputs = (await Promise.all(runs)).map(({ stdout }) => stdout);
    expect(outputs).toEqual(Array.from({ length: 200 }, (_, n) => `${n}\n`));
  }, 120_000);
});
