import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createBubblewrap } from "../../src/sandbox/bubblewrap.ts";
import type { Sandbox } from "../../src/sandbox/sandbox.ts";
import { MISSING, REFUSED } from "../../src/sandbox/seccomp-policy.ts";
import { runGuest, shellRequest, textInput } from "../support/guests.ts";
import { useRuntimes } from "../support/runtimes.ts";
import { MACHINES, numberOf } from "../support/system-calls.ts";

/* The policy on this machine's kernel: what real guests are refused, and that languages do their work under it. */

const EPERM = 1;
const ENOSYS = 38;
const SIGSYS = 31;
const GCC = "/usr/bin/gcc";

const machine = MACHINES.find((each) => each === process.arch);
if (machine === undefined) throw new Error(`There is no policy for ${process.arch}`);
const programs = join(import.meta.dir, "../programs/under-seccomp");

describe("a guest", () => {
  const runtimeDir = mkdtempSync(join(tmpdir(), "job-runner-seccomp-"));
  let sandbox: Sandbox;
  beforeAll(() => {
    sandbox = createBubblewrap({ uids: { first: 30_001, last: 30_100 }, runtimeDir });
  });
  afterAll(() => rmSync(runtimeDir, { recursive: true, force: true }));

  const perl = (program: string, args: readonly string[] = []) =>
    runGuest(sandbox, shellRequest("", { argv: ["/usr/bin/perl", "-e", program, ...args] }));

  /** The errno of each call, 0 where it succeeded. A call is its number and its arguments. */
  async function errnosOf(calls: readonly (readonly (number | bigint)[])[]) {
    const { stdout } = await perl(
      'for (@ARGV) { my @call = map { $_ + 0 } split / /; print syscall($call[0], @call[1 .. $#call]) == -1 ? $! + 0 : 0, "\n" }',
      calls.map((call) => call.join(" ")),
    );
    return stdout.trimEnd().split("\n").map(Number);
  }

  /** A call of this machine that the policy must know. */
  function number(name: string): number {
    const nr = machine && numberOf(machine, name);
    if (nr === undefined) throw new Error(`${name} is no call of ${machine}`);
    return nr;
  }

  test("is refused each call of the policy, and told of the missing ones that they are", async () => {
    const column = machine === "x64" ? 0 : 1;
    const withNumber = (calls: (typeof REFUSED)[number]["calls"]) =>
      Object.entries(calls).flatMap(([name, numbers]) => {
        const nr = numbers[column] ?? null;
        return nr === null ? [] : [{ name, nr }];
      });
    const refused = REFUSED.flatMap(({ calls }) => withNumber(calls));
    const errnos = await errnosOf(refused.map(({ nr }) => [nr, 0, 0, 0, 0, 0]));
    expect(Object.fromEntries(refused.map(({ name }, index) => [name, errnos[index]]))).toEqual(
      Object.fromEntries(refused.map(({ name }) => [name, EPERM])),
    );
    expect(refused.length).toBeGreaterThan(50);

    const missing = [...withNumber(MISSING).map(({ nr }) => nr), 400, 470, 511, 547, 1000];
    const answers = await errnosOf(missing.map((nr) => [nr, 0, 0, 0, 0, 0]));
    expect(answers).toEqual(missing.map(() => ENOSYS));
  });

  test("is refused calls for their arguments, whatever is in the half that the kernel drops", async () => {
    const high = 0x1_0000_0000n;
    const [clone, ioctl, socket] = ["clone", "ioctl", "socket"].map(number) as [
      number,
      number,
      number,
    ];
    const newUser = 0x1000_0000n;
    const device = [0o020666n, 0x103n] as const;
    const calls = [
      [clone, newUser, 0, 0, 0, 0],
      [clone, newUser | high, 0, 0, 0, 0],
      [ioctl, 0, 0x5412, 0],
      [ioctl, 0, 0x5412n | high, 0],
      [socket, 17, 3, 0],
      [socket, 17n | high, 3, 0],
      [socket, 2, 10, 0],
      [socket, 16, 3, 9],
      [number("mknodat"), -100, 0, ...device],
      [number("personality"), 0x40_0000],
    ];
    expect(await errnosOf(calls)).toEqual(calls.map(() => EPERM));

    const fine = [
      [socket, 1, 1, 0],
      [socket, 2, 1, 0],
      [socket, 10, 2, 0],
      [socket, 16, 3, 0],
    ];
    expect(await errnosOf(fine)).toEqual([0, 0, 0, 0]);
    // The kernel's own answers, which show that the filter let them pass: no terminal, no such address.
    const [ENOTTY, EFAULT] = [25, 14];
    expect(
      await errnosOf([
        [ioctl, 1, 0x5401, 0],
        [number("mknodat"), -100, 0, 0o010644, 0],
      ]),
    ).toEqual([ENOTTY, EFAULT]);
  });

  test("and its supervisor are both under the filter", async () => {
    const { stdout } = await runGuest(
      sandbox,
      shellRequest("grep -h ^Seccomp: /proc/1/status /proc/self/status"),
    );
    expect(stdout).toBe("Seccomp:\t2\nSeccomp:\t2\n");
  });

  test("is killed for the calls of x32, or there are none", async () => {
    const { exit } = await perl(`syscall(${number("getpid") + 0x4000_0000})`);
    expect(exit?.signalNumber ?? null).toBe(machine === "x64" ? SIGSYS : null);
  });

  // The C compiler is not needed for anything else: where there is none, this is not tried.
  describe.skipIf(!existsSync(GCC))(`with ${GCC}`, () => {
    const compile = (name: string, then: string) =>
      runGuest(
        sandbox,
        shellRequest(`gcc ${name} -pthread -o program && ${then}`, {
          inputs: [textInput(name, readFileSync(join(programs, name), "utf8"))],
        }),
      );

    test("compiles a program with threads and runs it", async () => {
      const { stdout, stderr } = await compile("hello.c", "./program && rm program");
      expect(stdout + stderr).toBe("hello from 4 threads\n");
    });

    test.skipIf(machine !== "x64")("is killed for a call through the 32-bit gate", async () => {
      const { stdout } = await compile("int80.c", "{ ./program; echo $?; rm program; }");
      expect(stdout).toBe(`${128 + SIGSYS}\n`);
    });
  });
});

describe("under the filter", () => {
  const runtimes = useRuntimes();

  const cases = [
    [
      "python3",
      "python-workers.py",
      "pool 140\nqueue 5\nshared hello\nthreads 4\nsubprocess out\n",
    ],
    ["node", "node-workers.ts", "worker 42\nexec out\nspawned 3\nforked ping\n"],
    ["bun", "bun-workers.ts", "worker 42\nspawn out\nserver pong\n"],
    ["bash", "bash-pipes.sh", "3\nsub\nhere\nfifo\n2\n"],
  ] as const;
  test.each(cases)("%s does the work of %s", async (runtime, program, output) => {
    const entry = runtime === "node" ? "workers.mjs" : program;
    const files = { [entry]: readFileSync(join(programs, program), "utf8") };
    const { stdout, stderr, exit } = await runtimes.run({ runtime, entry, files });
    expect({ stdout, stderr, exitCode: exit?.exitCode }).toEqual({
      stdout: output,
      stderr: "",
      exitCode: 0,
    });
  });
});
