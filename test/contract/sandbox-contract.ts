import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { AppError } from "../../src/errors.ts";
import type { Sandbox } from "../../src/sandbox/sandbox.ts";
import {
  DEFAULT_LIMITS,
  finish,
  Printed,
  processesWith,
  runGuest,
  shellRequest,
  textInput,
} from "../support/guests.ts";
import { filesContract } from "./sandbox-files-contract.ts";

/** What the sandbox contract needs of a driver. */
export interface SandboxHarness {
  open(): Promise<Sandbox>;
  close(): Promise<void>;
}

const SIGKILL = 9;
const SIGXCPU = 24;
const SIGXFSZ = 25;

/** Every promise of sandbox.ts that does not depend on how strong the wall is. */
export function sandboxContract(driver: string, harness: SandboxHarness): void {
  describe(`sandbox contract: ${driver}`, () => {
    let sandbox: Sandbox;
    beforeAll(async () => {
      sandbox = await harness.open();
    });
    afterAll(() => harness.close());

    const run = (...request: Parameters<typeof shellRequest>) =>
      runGuest(sandbox, shellRequest(...request));

    describe("what a program gets", () => {
      test("arguments, environment, stdin and files arrive as they are", async () => {
        const { stdout, exit } = await run("", {
          argv: ["/bin/sh", "-c", 'echo "$1|$2|$WORD"; cat; cat pkg/data.txt', "sh", "a b", "-x"],
          env: { WORD: "zwölf\n12" },
          stdin: Buffer.from("from stdin\n"),
          inputs: [textInput("pkg/data.txt", "from a file\n")],
        });
        expect(stdout).toBe("a b|-x|zwölf\n12\nfrom stdin\nfrom a file\n");
        expect(exit).toMatchObject({ exitCode: 0, signalNumber: null });
      });

      test("its environment is the base and its own, nothing of the service", async () => {
        const { stdout } = await run("env | cut -d= -f1 | sort | tr '\\n' ' '", {
          env: { MINE: "1" },
        });
        expect(stdout).toBe("HOME LANG MINE PATH PWD TMPDIR ");
      });

      test("its own stdio can be opened again by name", async () => {
        const { stdout, stderr } = await run(
          "echo out > /dev/stdout; echo err > /dev/stderr; cat /dev/stdin",
          { stdin: Buffer.from("in\n") },
        );
        expect(stdout).toBe("out\nin\n");
        expect(stderr).toBe("err\n");
      });

      test("no stdin is an empty one", async () => {
        expect((await run("wc -c")).stdout.trim()).toBe("0");
      });

      test("a file of several chunks arrives whole", async () => {
        const text = "0123456789abcdef".repeat(100_000);
        const { stdout } = await run("sha256sum < big", { inputs: [textInput("big", text)] });
        expect(stdout.split(" ")[0]).toBe(
          new Bun.CryptoHasher("sha256").update(text).digest("hex"),
        );
      });
    });

    describe("how it ends", () => {
      test("exit 137 and death by SIGKILL are told apart", async () => {
        expect((await run("exit 137")).exit).toMatchObject({ exitCode: 137, signalNumber: null });
        expect((await run("kill -9 $$")).exit).toMatchObject({
          exitCode: null,
          signalNumber: SIGKILL,
        });
      });

      test("CPU time is limited and reported", async () => {
        const { exit } = await run("while :; do :; done", {
          limits: { ...DEFAULT_LIMITS, cpuSec: 1 },
        });
        expect(exit).toMatchObject({ exitCode: null, signalNumber: SIGXCPU });
        // The kernel goes by its ticks, each of which is charged to whoever runs just then (kernel/time/posix-cpu-timers.c,
        // CPUCLOCK_PROF), and tells the exact time (sum_exec_runtime): beside others that run, the two were 14 % apart.
        expect(exit!.cpuMs).toBeGreaterThanOrEqual(800);
        expect(exit!.cpuMs).toBeLessThan(1_500);
      });

      test("whoever ignores SIGXCPU is killed a second later", async () => {
        const { exit } = await run("trap '' XCPU; while :; do :; done", {
          limits: { ...DEFAULT_LIMITS, cpuSec: 1 },
        });
        expect(exit).toMatchObject({ exitCode: null, signalNumber: SIGKILL });
      });

      test("a file cannot grow past the disk limit", async () => {
        const { exit } = await run("exec head -c 3000000 /dev/zero > big", {
          limits: { ...DEFAULT_LIMITS, diskBytes: 1_000_000 },
        });
        expect([SIGXFSZ, null]).toContain(exit!.signalNumber);
        expect(exit!.exitCode).not.toBe(0);
      });

      test("memory is limited", async () => {
        const { exit, stderr } = await run("", {
          argv: ["/usr/bin/perl", "-e", 'my $x = "x" x 300_000_000; print length $x'],
          limits: { ...DEFAULT_LIMITS, memoryBytes: 128 * 1024 * 1024 },
        });
        expect(exit!.exitCode).not.toBe(0);
        // Refused by its own limit, or killed for all of them together.
        if (exit!.oom === true) expect(exit!.limitsMet).toEqual(["memory"]);
        else expect(stderr).toContain("Out of memory");
      });

      test("a daemon that forked twice is dead when exited resolves", async () => {
        const marker = crypto.randomUUID();
        const guest = await sandbox.start(
          shellRequest(`(setsid sh -c 'sleep 600; : ${marker}' &); echo up`),
        );
        await guest.exited;
        expect(processesWith(marker)).toEqual([]);
        expect((await finish(guest)).stdout).toBe("up\n");
        await guest.destroy();
      });

      test("a grandchild that holds stdout does not hold up its end", async () => {
        const { stdout, exit } = await run("sleep 600 & echo done");
        expect(stdout).toBe("done\n");
        expect(exit!.exitCode).toBe(0);
      });

      test("closed stdout is no trouble", async () => {
        const { stdout, stderr, exit } = await run("exec >&-; echo x; exit 4");
        expect(stdout).toBe("");
        expect(stderr).not.toBe("");
        expect(exit!.exitCode).toBe(4);
      });
    });

    describe("stop and destroy", () => {
      test("stop kills what ignores signals, and its files come out", async () => {
        const guest = await sandbox.start(
          shellRequest(
            "trap '' TERM INT HUP; echo half > part.txt; echo ready; while :; do sleep 1; done",
          ),
        );
        const printed = new Printed(guest.stdout);
        await printed.until("ready");
        guest.stop();
        guest.stop();
        expect(await guest.exited).toMatchObject({ exitCode: null, signalNumber: SIGKILL });
        const paths: string[] = [];
        for await (const { path } of guest.outputs()) paths.push(path);
        expect(paths).toEqual(["part.txt"]);
        await guest.destroy();
      });

      test("stopped processes are stopped for good", async () => {
        const marker = crypto.randomUUID();
        const guest = await sandbox.start(shellRequest(`: ${marker}; echo ready; kill -STOP $$`));
        await new Printed(guest.stdout).until("ready");
        guest.stop();
        expect(await guest.exited).toMatchObject({ signalNumber: SIGKILL });
        await guest.destroy();
        expect(processesWith(marker)).toEqual([]);
      });

      test("destroy in the middle leaves no process and ends the pipes", async () => {
        const marker = crypto.randomUUID();
        const guest = await sandbox.start(
          shellRequest(`(setsid sleep 600 &); echo ready; : ${marker}; sleep 600`),
        );
        const printed = new Printed(guest.stdout);
        await printed.until("ready");
        const unread = printed.until("never").catch(String);
        await Promise.all([guest.destroy(), guest.destroy()]);
        expect(await unread).toContain("The output ended");
        expect(processesWith(marker)).toEqual([]);
        expect(await guest.exited).toBeNull();
        expect(guest.failure()).not.toBe("");
      });

      test("output waits in the pipe for its reader", async () => {
        const guest = await sandbox.start(shellRequest("head -c 200000000 /dev/zero"));
        const reader = guest.stdout.getReader();
        let total = (await reader.read()).value!.length;
        const before = process.memoryUsage.rss();
        // What must not happen sends no event to wait for.
        const ended = await Promise.race([guest.exited, Bun.sleep(300).then(() => "blocked")]);
        expect(ended).toBe("blocked");
        expect(process.memoryUsage.rss() - before).toBeLessThan(40_000_000);
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          total += value.length;
        }
        expect(total).toBe(200_000_000);
        await guest.destroy();
      });
    });

    filesContract(run);

    describe("what is refused", () => {
      const refused = async (request: Parameters<typeof shellRequest>[1]) => {
        const error = await sandbox
          .start(shellRequest("exit 0", request))
          .catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(AppError);
        expect(error).toHaveProperty("code", "sandbox_error");
        return String(error);
      };

      test("a program that is not there", async () => {
        expect(await refused({ argv: ["/no/such/program"] })).toContain("/no/such/program");
      });

      test("a NUL in any value, and names that are no variables", async () => {
        expect(await refused({ argv: ["/bin/sh", "a\0b"] })).toContain("NUL");
        expect(await refused({ env: { A: "b\0c" } })).toContain("NUL");
        expect(await refused({ env: { "A=B": "c" } })).toContain("name");
      });

      test("paths out of the working directory", async () => {
        for (const path of ["../out", "a/../../out", "/out", "a//b"])
          expect(await refused({ inputs: [textInput(path, "x")] })).toContain("path");
      });

      test("an input of another size than announced", async () => {
        const input = { ...textInput("a", "abc"), sizeBytes: 4 };
        expect(await refused({ inputs: [input] })).toContain("3 bytes, not 4");
      });

      test("an input that cannot be read: its own error", async () => {
        const gone = new AppError("not_found", "The blob is gone");
        const bytes = () => new ReadableStream<Uint8Array>({ start: (c) => c.error(gone) });
        const start = sandbox.start(
          shellRequest("exit 0", { inputs: [{ path: "a", sizeBytes: 1, bytes }] }),
        );
        expect(await start.catch((thrown: unknown) => thrown)).toBe(gone);
      });
    });
  });
}
