import { expect, test } from "bun:test";

import { readProportionalBytes, readTree } from "../../src/sandbox/process-tree.ts";
import { Printed } from "../support/guests.ts";
import { lookUntil } from "../support/host-state.ts";

test("everything below a process, its threads, memory and CPU time; nothing once it is gone", async () => {
  const script = `
    my $size = 40_000_000;
    my $x = "x" x $size;
    for (1 .. 3) { next if fork; sleep 600; exit }
    my $n = times; 1 while (times)[0] - $n < 0.1;
    $| = 1; print "up"; sleep 600;`;
  const child = Bun.spawn(["/bin/sh", "-c", 'perl -e "$0" & wait', script], { stdout: "pipe" });
  await new Printed(child.stdout).until("up");
  const { pids, threads, cpuMs, residentBytes } = readTree(child.pid);
  expect(pids).not.toContain(child.pid);
  expect([pids.length, threads]).toEqual([4, 4]);
  expect(cpuMs).toBeGreaterThanOrEqual(90);
  // Each of the four has the 40 MB; there is one of them.
  expect(residentBytes).toBeGreaterThan(155_000_000);
  const exact = readProportionalBytes(pids)!;
  expect(exact).toBeGreaterThan(39_000_000);
  expect(exact).toBeLessThan(60_000_000);
  for (const pid of [...pids, child.pid]) process.kill(pid, "SIGKILL");
  await child.exited;
  expect(readTree(child.pid)).toEqual({ pids: [], threads: 0, cpuMs: 0, residentBytes: 0 });
  // Children of a process that is gone end when they end: nobody is told.
  const left = await lookUntil(
    () => readProportionalBytes(pids),
    (bytes) => bytes === 0,
  );
  expect(left).toBe(0);
});
