import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

import { submit, type Submission, waitForEnd } from "../support/client.ts";
import { DEPLOYMENTS } from "../support/deployments.ts";
import { processesWith, untilNoProcessWith } from "../support/guests.ts";
import { parentOf } from "../support/host-state.ts";
import { INDEX_ENV, INSTALL, PackageIndex } from "../support/package-index.ts";
import { cancel, runJob, startReady, stopAndRemove, untilReady } from "../support/ready-service.ts";
import { hasRedisServer } from "../support/redis-server.ts";
import { type RunningService, startService } from "../support/service.ts";

/* What ends a job while its dependencies are installed, and packages that mean no good. */

const SLOW_MS = 60_000;

const index = new PackageIndex();
let service: RunningService;
beforeAll(async () => {
  service = await startReady({ ...INDEX_ENV, INSTALL_TIMEOUT_SEC: "8" });
}, SLOW_MS);
afterAll(async () => {
  await stopAndRemove(service);
  await index.stop();
});

const freshName = () => `p${crypto.randomUUID().replaceAll("-", "")}`;

/** A job with a package that runs this while it is built; what that prints pip says where it fails. */
function building(program: string, { spec = {}, code = {} }: Partial<Submission> = {}): Submission {
  const name = freshName();
  index.addSource(name, program);
  return {
    spec: { entry: "main.py", ...INSTALL, ...spec },
    code: { "main.py": "print('ran')", "requirements.txt": index.requirements(name), ...code },
  };
}

/** One that has a process with a marker among its arguments, for ever; once it is there, it asks the index for `/<marker>`. */
function endless() {
  const marker = crypto.randomUUID();
  const submission = building(`import subprocess, urllib.error, urllib.request
endless = subprocess.Popen(["sh", "-c", ": ${marker}; sleep 900"])
try: urllib.request.urlopen("${index.url}/${marker}")
except urllib.error.HTTPError: pass
endless.wait()
`);
  return { marker, submission, begun: (times = 1) => index.visited(`/${marker}`, times) };
}

describe("an end in the middle of the install", () => {
  test(
    "a job is cancelled with its installer",
    async () => {
      const { marker, submission, begun } = endless();
      const { id } = await submit(service.url, submission);
      await begun();
      await cancel(service.url, id);
      const job = await waitForEnd(service.url, id);
      expect(job).toMatchObject({ status: "cancelled", reason: "cancelled", usage: null });
      await untilNoProcessWith(marker);
    },
    SLOW_MS,
  );

  test(
    "a server that is killed leaves no half of it behind, and the next one installs anew",
    async () => {
      const { marker, submission, begun } = endless();
      const first = await startReady(INDEX_ENV);
      const { id } = await submit(first.url, submission);
      await begun();
      await first.kill9();
      const again = await startService({ dataDir: first.dataDir, env: INDEX_ENV });
      try {
        await begun(2);
        await cancel(again.url, id);
        const job = await waitForEnd(again.url, id);
        expect(job).toMatchObject({ status: "cancelled", attempt: 2 });
        expect(existsSync(join(again.dataDir, ".installed"))).toBe(false);
        await untilNoProcessWith(marker);
      } finally {
        await stopAndRemove(again);
      }
    },
    SLOW_MS,
  );

  test.skipIf(!hasRedisServer())(
    "where a worker is killed, another one installs anew",
    async () => {
      const deployment = await DEPLOYMENTS.at(-1)!.start({ ...INDEX_ENV, LEASE_MS: "1000" });
      try {
        const { api, workers } = deployment;
        await untilReady(api);
        const { marker, submission, begun } = endless();
        const { id } = await submit(api.url, submission);
        await begun();
        const [pid = 0] = processesWith(marker);
        await workers.find((worker) => isBelow(pid, worker.pid))?.kill9();
        await begun(2);
        await cancel(api.url, id);
        expect(await waitForEnd(api.url, id)).toMatchObject({ status: "cancelled", attempt: 2 });
      } finally {
        await deployment.stop();
      }
    },
    SLOW_MS,
  );
});

/** Whether a process was started by another, or by one that was. */
function isBelow(pid: number, ancestor: number): boolean {
  return pid === ancestor || (pid > 1 && isBelow(parentOf(pid), ancestor));
}

describe("a package that means no good", () => {
  test(
    "finds nothing of the job, and nothing of what others have installed",
    async () => {
      const look = `import os, sys
for folder, _, names in os.walk("/work"):
    for name in names: print(os.path.join(folder, name))
print(sorted(os.environ), os.environ.get("SECRET"))
for path in ("${service.dataDir}", "/etc/shadow"):
    print(path, os.path.exists(path))
for path in ("/usr/lib/python3/x", "/etc/x"):
    try: open(path, "w")
    except OSError as error: print(error.strerror)
raise SystemExit("that is all")
`;
      const { job, installer } = await runJob(
        service,
        building(look, {
          spec: { env: { SECRET: "secret word" }, stdin: "secret word", args: ["secret word"] },
          code: { "secret.txt": "secret word" },
        }),
      );
      expect(job.reason).toBe("install_error");
      expect(installer).toContain("/work/requirements.txt\n");
      expect(installer).toContain("that is all");
      expect(installer).not.toContain("secret");
      expect(installer).not.toContain("main.py");
      expect(installer).not.toContain("SECRET");
      expect(installer.match(/False$/gm)).toHaveLength(2);
      expect(installer.match(/Read-only file system$/gm)).toHaveLength(2);
    },
    SLOW_MS,
  );

  test.each([
    [
      "fills the disk",
      'file = open("/work/x", "wb")\nwhile True: file.write(b"x" * 1_000_000)',
      "disk_mb",
    ],
    ["takes all memory", 'x = "x" * (1 << 40)\nwhile True: x += x', "the log says why"],
    ["never ends", "while True: pass", "INSTALL_TIMEOUT_SEC"],
    [
      "starts more than it may",
      "from subprocess import DEVNULL, Popen\nall = []\nwhile True: all.append(Popen(['sleep', '900'], stdout=DEVNULL, stderr=DEVNULL))",
      "limits.processes",
    ],
  ])(
    "and %s ends at its limits, and the next job runs",
    async (_what, program, words) => {
      const { job, stdout } = await runJob(service, building(program));
      expect(job).toMatchObject({ status: "failed", reason: "install_error", usage: null });
      expect(job.error).toContain(words);
      expect(stdout).toBe("");
      const next = { spec: { entry: "main.py" }, code: { "main.py": "print('ran')" } };
      expect((await runJob(service, next)).stdout).toBe("ran\n");
    },
    SLOW_MS,
  );

  test(
    "and prints without end fills no more than the job's log",
    async () => {
      const { job, installer } = await runJob(
        service,
        building(
          "import sys\nfor _ in range(3_000): sys.stderr.write('x' * 9_999 + '\\n')\nraise SystemExit(1)",
          { spec: { limits: { output_mb: 1 } } },
        ),
      );
      expect(job.reason).toBe("install_error");
      expect(installer.length).toBeLessThanOrEqual(1024 * 1024);
      expect(job.log.dropped_bytes).toBeGreaterThan(20_000_000);
    },
    SLOW_MS,
  );
});

test(
  "a package of more files than can be kept is told as that",
  async () => {
    const patient = await startReady(INDEX_ENV);
    try {
      const name = freshName();
      const files = Array.from({ length: 20_001 }, (_, number) => [`${name}/${number}`, ""]);
      index.addWheel(name, Object.fromEntries(files));
      const { job, stdout } = await runJob(patient, {
        spec: { entry: "main.py", ...INSTALL },
        code: { "main.py": "print('ran')", "requirements.txt": index.requirements(name) },
      });
      expect(job).toMatchObject({ status: "failed", reason: "install_error", exit_code: 0 });
      expect(job.error).toMatch(/^The installer made more than can be kept: \d+ of the files/);
      expect(stdout).toBe("");
    } finally {
      await stopAndRemove(patient);
    }
  },
  SLOW_MS,
);

test(
  "what is kept is no job, is nobody else's to read, and stays within its bounds",
  async () => {
    const small = await startReady({ ...INDEX_ENV, INSTALL_CACHE_MB: "1" });
    try {
      for (const number of [1, 2, 3]) {
        const name = freshName();
        index.addWheel(name, { [`${name}.py`]: `# ${String(number).repeat(600_000)}\n` });
        const { stdout } = await runJob(small, {
          spec: { entry: "main.py", ...INSTALL },
          code: {
            "main.py": `import ${name}; print("ran")`,
            "requirements.txt": index.requirements(name),
          },
        });
        expect(stdout).toBe("ran\n");
      }
      const folder = join(small.dataDir, ".installed");
      const names = readdirSync(folder);
      expect(names).toHaveLength(1);
      expect(statSync(join(folder, names[0]!)).size).toBeLessThanOrEqual(1024 * 1024);
      expect(statSync(folder).mode & 0o777).toBe(0o700);
      const answer = await fetch(`${small.url}/jobs/.installed`);
      expect(answer.status).toBe(404);
    } finally {
      await stopAndRemove(small);
    }
  },
  SLOW_MS,
);
