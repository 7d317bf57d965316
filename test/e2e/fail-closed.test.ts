import { afterAll, describe, expect, test } from "bun:test";

import { submissionForm } from "../support/client.ts";
import { withoutBubblewrap, withoutUserNamespaces } from "../support/refusing-hosts.ts";
import { freshDataDir, removeDataDir, ROOT, startService } from "../support/service.ts";

/* Without what makes the sandbox safe no job runs, and everybody who asks is told why and what to do. */

const dataDirs: string[] = [];
afterAll(() => Promise.all(dataDirs.map(removeDataDir)));

async function dataDir(): Promise<string> {
  const made = await freshDataDir();
  dataDirs.push(made);
  return made;
}

async function doctor(env: Readonly<Record<string, string>>, wrapper: readonly string[] = []) {
  const child = Bun.spawn([...wrapper, process.execPath, "run", "src/main.ts", "doctor"], {
    cwd: ROOT,
    env: {
      PATH: process.env["PATH"] ?? "",
      HOME: process.env["HOME"] ?? "",
      JOB_DATA_DIR: await dataDir(),
      ...env,
    },
    stdout: "pipe",
    stderr: "inherit",
  });
  return { text: await new Response(child.stdout).text(), exitCode: await child.exited };
}

interface Lack {
  readonly what: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly wrapper?: readonly string[];
  /** The cause, and the command or option that mends it. */
  readonly said: readonly string[];
}

const LACKS: readonly Lack[] = [
  {
    what: "bubblewrap is not there",
    wrapper: withoutBubblewrap(),
    said: ["bubblewrap is not installed", "apt-get install bubblewrap"],
  },
  {
    what: "user namespaces are refused",
    wrapper: withoutUserNamespaces(),
    said: ["does not let bubblewrap make a sandbox", "sysctl -w user.max_user_namespaces="],
  },
  ...(process.getuid?.() === 0
    ? [
        {
          what: "root has no range of uids",
          env: { SANDBOX_UIDS: "none" },
          said: ["runs as root and has no range", "SANDBOX_UIDS="],
        },
        {
          what: "the range has a user of this machine in it",
          env: { SANDBOX_UIDS: "65000-65600" },
          said: ["is the user nobody", "SANDBOX_UIDS="],
        },
      ]
    : []),
  {
    what: "a demanded cgroup cannot be made",
    env: { SANDBOX_REQUIRE: "cgroup,seccomp" },
    wrapper: ["bwrap", "--dev-bind", "/", "/", "--tmpfs", "/sys/fs", "--"],
    said: ["SANDBOX_REQUIRE demands a cgroup", "Delegate=yes"],
  },
  {
    what: "a share of the CPU needs a cgroup that cannot be made",
    env: { JOB_CPU_PERCENT: "50" },
    wrapper: ["bwrap", "--dev-bind", "/", "/", "--tmpfs", "/sys/fs", "--"],
    said: ["JOB_CPU_PERCENT needs a cgroup", "Delegate=yes"],
  },
];

describe.each(LACKS)("where $what", ({ env = {}, wrapper = [], said }) => {
  test("no job runs; /health and the answer to POST /jobs say why and what mends it", async () => {
    const service = await startService({
      env,
      dataDir: await dataDir(),
      startAs: { prefix: wrapper, root: ROOT, bun: process.execPath },
    });
    const health = (await (await fetch(`${service.url}/health`)).json()) as {
      sandbox: { ready: boolean; problems: string[] };
    };
    const refused = await fetch(`${service.url}/jobs`, {
      method: "POST",
      body: submissionForm({ spec: { entry: "main.sh" }, code: { "main.sh": "echo ran" } }),
    });
    const problem = (await refused.json()) as { code: string; detail: string };
    const ready = await fetch(`${service.url}/readyz`);
    const jobs = (await (await fetch(`${service.url}/jobs`)).json()) as { items: unknown[] };
    await service.stop();
    expect(health.sandbox.ready).toBe(false);
    for (const words of said) {
      expect(health.sandbox.problems.join(" ")).toContain(words);
      expect(problem.detail).toContain(words);
    }
    expect([refused.status, problem.code]).toEqual([503, "sandbox_unavailable"]);
    expect(ready.status).toBe(503);
    expect(jobs.items).toEqual([]);
  });

  test("the doctor names cause and remedy, and fails", async () => {
    const { text, exitCode } = await doctor(env, wrapper);
    expect(exitCode).toBe(1);
    const broken = text.split("\n").filter((line) => line.startsWith("BROKEN"));
    for (const words of said) expect(broken.join("\n")).toContain(words);
  });
});

test("where nothing is missing the doctor says what holds", async () => {
  const { text, exitCode } = await doctor({});
  expect(exitCode).toBe(0);
  expect(text).not.toContain("BROKEN");
  expect(text).toContain("tried to get out of the sandbox did not");
  expect(text).toMatch(/^ok +These run programs: .*bash/m);
});
