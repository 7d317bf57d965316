import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { MIB } from "../../src/jobs/limits.ts";
import type { Sandbox } from "../../src/sandbox/sandbox.ts";
import { DEFAULT_LIMITS, runGuest, shellRequest } from "../support/guests.ts";
import type { SandboxHarness } from "./sandbox-contract.ts";

const perl = (program: string) => ({ argv: ["/usr/bin/perl", "-e", program] });

/** Starts children that each do something and wait for a word that never comes; ends with 1 when one was killed. */
const children = (count: number, work: string) =>
  perl(`
    for (1 .. ${count}) { next if fork; ${work}; sleep 600; exit 0 }
    my $killed = 0;
    while (wait != -1) { $killed ||= $?; last if $killed }
    kill 9, -1 if $killed;
    exit($killed ? 1 : 0);`);

/** Limits that hold for all processes of a guest together, whoever enforces them. */
export function sandboxLimitsContract(driver: string, harness: SandboxHarness): void {
  describe(`limits of the whole guest: ${driver}`, () => {
    let sandbox: Sandbox;
    beforeAll(async () => {
      sandbox = await harness.open();
    });
    afterAll(() => harness.close());

    const run = (...request: Parameters<typeof shellRequest>) =>
      runGuest(sandbox, shellRequest(...request));

    test("20 children of 60 MB under 256 MiB: ended for memory", async () => {
      const { exit } = await run("", {
        ...children(20, 'my $x = "x" x 60_000_000'),
        limits: { ...DEFAULT_LIMITS, memoryBytes: 256 * MIB },
      });
      expect(exit).toMatchObject({ oom: true, limitsMet: ["memory"] });
      expect([exit!.endedFor, exit!.exitCode]).not.toEqual([null, 0]);
    });

    test("memory that a fork shares is counted once", async () => {
      const { exit } = await run("", {
        ...perl(
          'my $x = "x" x 60_000_000; for (1 .. 8) { next if fork; sleep 1; exit 0 } 1 while wait != -1;',
        ),
        limits: { ...DEFAULT_LIMITS, memoryBytes: 256 * MIB },
      });
      expect(exit).toMatchObject({ exitCode: 0, limitsMet: [] });
      expect(exit!.oom).not.toBe(true);
    });

    test("CPU time of four children together", async () => {
      const startMs = performance.now();
      const { exit } = await run("", {
        ...children(4, "1 while 1"),
        limits: { ...DEFAULT_LIMITS, cpuSec: 1 },
      });
      expect(exit).toMatchObject({ endedFor: "cpu" });
      // Four times a second of their own would be two at least, even on two cores.
      expect(performance.now() - startMs).toBeLessThan(4_000);
    });

    test("a refused fork is told, and a program may live with it", async () => {
      const { exit, stdout } = await run("", {
        ...perl(
          "my $n = 0; for (1 .. 40) { my $p = fork; last if !defined $p; if (!$p) { sleep 600; exit } $n++ } select undef, undef, undef, 0.4; print $n; exit 3",
        ),
        limits: { ...DEFAULT_LIMITS, processes: 16 },
      });
      expect(Number(stdout)).toBeWithin(14, 17);
      expect(exit).toMatchObject({ exitCode: 3, endedFor: null, limitsMet: ["processes"] });
    });

    test("a disk full of bytes is told", async () => {
      const { exit } = await run("head -c 3000000 /dev/zero > /tmp/a; exit 5", {
        limits: { ...DEFAULT_LIMITS, diskBytes: 2 * MIB },
      });
      expect(exit).toMatchObject({ exitCode: 5, endedFor: null, limitsMet: ["disk"] });
    });

    test("a disk full of files: ended", async () => {
      const { exit } = await run("", {
        ...perl('for (my $i = 0; ; $i++) { open my $f, ">", "/tmp/$i" }'),
        limits: { ...DEFAULT_LIMITS, diskBytes: 4 * MIB },
      });
      expect(exit).toMatchObject({ endedFor: "disk", limitsMet: ["disk"] });
    });

    test("a program within its limits met none", async () => {
      const { exit } = await run("sleep 0.3; (exit 0) & wait; echo x > f");
      expect(exit).toMatchObject({ exitCode: 0, endedFor: null, limitsMet: [] });
    });
  });
}
