import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createBubblewrap } from "../../src/sandbox/bubblewrap.ts";
import type { GuestCgroups } from "../../src/sandbox/cgroup/cgroup.ts";
import { isRoot } from "../../src/sandbox/guest-uids.ts";
import type { Sandbox } from "../../src/sandbox/sandbox.ts";
import { sandboxContract } from "../contract/sandbox-contract.ts";
import { sandboxLimitsContract } from "../contract/sandbox-limits-contract.ts";
import { hasCgroups, openCgroups } from "../support/cgroups.ts";
import {
  DEFAULT_LIMITS,
  finish,
  openFds,
  untilNoNewFds,
  Printed,
  processesWith,
  runGuest,
  shellRequest,
  startingAhead,
  textInput,
  untilNoProcessWith,
} from "../support/guests.ts";

const UIDS = { first: 30_001, last: 30_100 };
const runtimeDir = mkdtempSync(join(tmpdir(), "job-runner-bubblewrap-"));
const open = () => createBubblewrap({ uids: UIDS, runtimeDir });
const openWithCgroups = () => createBubblewrap({ uids: UIDS, runtimeDir, cgroups: openCgroups() });
afterAll(() => rmSync(runtimeDir, { recursive: true, force: true }));

for (const [name, opened] of [
  ["bubblewrap without cgroups", open],
  ...(hasCgroups() ? ([["bubblewrap with cgroups", openWithCgroups]] as const) : []),
] as const) {
  const close = async () => undefined;
  for (const harness of [
    { name, open: async () => opened(), close },
    { name: `${name}, set up ahead`, open: async () => startingAhead(opened()), close },
  ]) {
    sandboxContract(harness.name, harness);
    sandboxLimitsContract(harness.name, harness);
  }
}

describe("bubblewrap", () => {
  let sandbox: Sandbox;
  beforeAll(() => {
    sandbox = open();
  });
  const run = (...request: Parameters<typeof shellRequest>) =>
    runGuest(sandbox, shellRequest(...request));

  test("the self-test passes and leaves nothing behind", async () => {
    expect(await sandbox.selfTest()).toMatchObject({ driver: "bwrap", ready: true, problems: [] });
    expect(readdirSync(runtimeDir).filter((name) => name.startsWith("canary"))).toEqual([]);
  });

  test("what is missing is a sentence with its remedy, and nothing starts", async () => {
    const broken = createBubblewrap({ uids: UIDS, runtimeDir, bwrapPath: "/no/bwrap" });
    const status = await broken.selfTest();
    expect(status.ready).toBe(false);
    expect(status.problems.join()).toContain("apt-get install bubblewrap");
    await expect(broken.start(shellRequest("exit 0"))).rejects.toThrow("not installed");
  });

  test("on a machine without a table of system calls nothing starts", async () => {
    const foreign = createBubblewrap({ uids: UIDS, runtimeDir, arch: "riscv64" });
    expect(await foreign.selfTest()).toMatchObject({ ready: false, seccomp: false });
    expect(await foreign.start(shellRequest("exit 0")).catch((error) => error)).toMatchObject({
      code: "sandbox_error",
      message: expect.stringMatching(/no system call filter .*riscv64/),
    });
  });

  test("a program is handed no descriptor beyond its own three", async () => {
    const { stdout } = await run("ls /proc/self/fd | tr '\\n' ' '");
    expect(stdout).toBe("0 1 2 3 ");
  });

  test("a bubblewrap that refuses is told by its own words", async () => {
    const broken = createBubblewrap({ uids: UIDS, runtimeDir, bwrapPath: "/bin/false" });
    expect(await broken.selfTest()).toMatchObject({ ready: false });
    await expect(
      sandbox.start(shellRequest("", { mounts: [{ hostPath: "/no/such" }] })),
    ).rejects.toThrow("/no/such");
  });

  test("root without a range of uids is refused", async () => {
    if (process.getuid?.() === 0) {
      const bare = createBubblewrap({ runtimeDir });
      expect((await bare.selfTest()).problems.join()).toContain("SANDBOX_UIDS");
      for (const first of [Number.NaN, 0, -1, 1.5])
        await expect(
          createBubblewrap({ uids: { first, last: 9 }, runtimeDir }).start(shellRequest("exit 0")),
        ).rejects.toThrow("SANDBOX_UIDS");
    }
  });

  test.if(hasCgroups() && isRoot())(
    "a uid is never two guests', also after one that was launched and did not start",
    async () => {
      const cgroups = openCgroups();
      let isFirst = true;
      const create = () => {
        const cgroup = cgroups.create();
        const refuse = async () => {
          throw new Error("no room in it");
        };
        const made = isFirst ? { ...cgroup, join: refuse } : cgroup;
        isFirst = false;
        return made;
      };
      const uids = { first: 30_150, last: 30_150 };
      const narrow = createBubblewrap({ uids, runtimeDir, cgroups: { ...cgroups, create } });
      const request = shellRequest("sleep 0.2; id -u");
      const [failing, second, third] = [1, 2, 3].map(() => narrow.start(request));
      await expect(failing!).rejects.toThrow("no room in it");
      let isThirdStarted = false;
      void third!.then(() => (isThirdStarted = true));
      const guest = await second!;
      expect((await finish(guest)).stdout).toBe("1000\n");
      expect(isThirdStarted).toBe(false);
      await guest.destroy();
      const last = await third!;
      expect((await finish(last)).exit?.exitCode).toBe(0);
      await last.destroy();
    },
  );

  test("a program is nobody special in a world of its own", async () => {
    const { stdout } = await run(
      "id -u; hostname; pwd; ls -A /work /tmp /home /root /opt 2>&1; ls -d /*",
    );
    expect(stdout).toContain("1000\nsandbox\n/work\n");
    expect(stdout).not.toContain("/root\n/");
    const host = await run("cat /etc/passwd; cat /etc/shadow; ls /proc | grep -c '^[0-9]'");
    expect(host.stdout).toContain("guest:x:1000");
    expect(host.stderr).toContain("/etc/shadow");
  });

  test("the host's loopback is not there", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as { port: number };
    const { stdout } = await run("", {
      argv: ["/bin/bash", "-c", `(echo > /dev/tcp/127.0.0.1/${port}) 2>&1 || echo refused`],
    });
    server.close();
    expect(stdout).toEndWith("refused\n");
  });

  test("PID 1 keeps its memory, descriptors and environment to itself", async () => {
    const { stdout } = await run(
      "cat /proc/1/environ /proc/1/maps; ls /proc/1/fd; (: > /proc/1/mem); echo out; kill -9 1; echo alive",
    );
    expect(stdout).toBe("out\nalive\n");
  });

  test("a fork bomb stays within its processes and dies", async () => {
    const marker = crypto.randomUUID();
    const guest = await sandbox.start(
      shellRequest("", {
        argv: ["/bin/bash", "-c", "b() { b | b & b; }; echo lit; b", marker],
        limits: { ...DEFAULT_LIMITS, processes: 32 },
      }),
    );
    await new Printed(guest.stdout).until("lit");
    expect(processesWith(marker).length).toBeLessThanOrEqual(32);
    guest.stop();
    expect(await guest.exited).not.toBeNull();
    expect(processesWith(marker)).toEqual([]);
    await guest.destroy();
  });

  test("kill -9 -1 ends the others, and the program's own end is told", async () => {
    const { stdout, exit } = await run("sleep 600 & kill -9 -1; echo alive; exit 5");
    expect(stdout).toBe("alive\n");
    expect(exit!.exitCode).toBe(5);
  });

  test("disk is a size for all files together", async () => {
    const limits = { ...DEFAULT_LIMITS, diskBytes: 1024 * 1024 };
    const { stdout } = await run(
      "for f in a b c; do head -c 600000 /dev/zero > $f 2>/dev/null || echo full; done",
      { limits },
    );
    expect(stdout).toContain("full");
    const big = sandbox.start(
      shellRequest("exit 0", { limits, inputs: [textInput("big", "x".repeat(2_000_000))] }),
    );
    await expect(big).rejects.toThrow("do not fit");
  });

  test("nothing is mounted over a guest's own places, and no NUL becomes an option", async () => {
    for (const guestPath of ["/work", "/work/x", "/", "/etc/x", "/proc", "relative"])
      await expect(
        sandbox.start(shellRequest("exit 0", { mounts: [{ hostPath: "/usr", guestPath }] })),
      ).rejects.toThrow("mounted");
    const smuggled = { hostPath: "/usr\0/x\0--bind\0/\0/host" };
    await expect(sandbox.start(shellRequest("exit 0", { mounts: [smuggled] }))).rejects.toThrow(
      "NUL",
    );
  });

  test("200 guests leave no descriptor", async () => {
    await run("exit 0");
    const before = openFds();
    for (let round = 0; round < 40; round += 1)
      await Promise.all(
        [0, 1, 2, 3, 4].map(async (slot) => {
          const guest = await sandbox.start(shellRequest("echo hi; echo x > f", { slot }));
          // Some are read to the end, some never.
          if (slot % 2 === 0) expect((await finish(guest)).stdout).toBe("hi\n");
          await guest.destroy();
        }),
      );
    expect(await untilNoNewFds(before)).toEqual([]);
  }, 60_000);

  test("a guest that has ended stands until it is taken down, which costs the kernel time", async () => {
    const guest = await sandbox.start(shellRequest("exit 0"));
    expect((await finish(guest)).exit?.exitCode).toBe(0);
    expect(childrenCalled("bwrap")).toHaveLength(1);
    await guest.destroy();
    expect(childrenCalled("bwrap")).toEqual([]);
  });

  test("a service that is killed leaves no guest", async () => {
    const marker = crypto.randomUUID();
    const service = Bun.spawn(
      [
        process.execPath,
        join(import.meta.dir, "../programs/starts-a-guest.ts"),
        runtimeDir,
        marker,
      ],
      { stdout: "pipe", stderr: "inherit" },
    );
    await new Printed(service.stdout).until("started");
    expect(processesWith(`sleep-${marker}`).length).toBeGreaterThan(0);
    service.kill("SIGKILL");
    await service.exited;
    await untilNoProcessWith(`sleep-${marker}`);
  });
});

describe.if(hasCgroups())("bubblewrap in a cgroup", () => {
  test("a guest that has written much gets memory for its files to come out, any other needs none", async () => {
    let raised = 0;
    const cgroups = openCgroups();
    const counting: GuestCgroups = {
      ...cgroups,
      create() {
        const cgroup = cgroups.create();
        const raiseMemory = (bytes: number) => {
          raised += 1;
          cgroup.raiseMemory(bytes);
        };
        return { ...cgroup, raiseMemory };
      },
    };
    const sandbox = createBubblewrap({ uids: UIDS, runtimeDir, cgroups: counting });
    const raisesOf = async (script: string) => {
      raised = 0;
      const { exit } = await runGuest(sandbox, shellRequest(script));
      return { exitCode: exit?.exitCode, raised };
    };
    expect(await raisesOf("echo hi > made")).toEqual({ exitCode: 0, raised: 0 });
    const big = "head -c 2000000 /dev/zero >";
    for (const place of ["made", "/tmp/made", "/dev/shm/made"])
      expect(await raisesOf(`${big} ${place}`)).toEqual({ exitCode: 0, raised: 1 });
    // 01000 is IPC_CREAT.
    const segment = `my $id = shmget(0, 2000000, 01600); shmwrite($id, "x" x 2000000, 0, 2000000) or die`;
    expect(await raisesOf(`perl -e '${segment}'`)).toEqual({ exitCode: 0, raised: 1 });
    const many = "i=0; while [ $i -lt 100 ]; do : > /tmp/$i; i=$((i + 1)); done";
    expect(await raisesOf(many)).toEqual({ exitCode: 0, raised: 1 });
  });
});

/** Pids of this process's children of that name, as proc(5) has them in /proc/PID/stat. */
function childrenCalled(name: string): readonly string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      return new RegExp(`^\\d+ \\(${name}\\) [^Z] ${process.pid} `).test(stat);
    } catch {
      return false;
    }
  });
}
