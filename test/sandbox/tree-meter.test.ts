import { expect, test } from "bun:test";

import { readTree } from "../../src/sandbox/process-tree.ts";
import { createTreeMeter } from "../../src/sandbox/tree-meter.ts";
import { Printed } from "../support/guests.ts";

test("what waits is counted with its supervisor, and as nothing once it is gone", async () => {
  const script = `
    my $size = 20_000_000;
    my $x = "x" x $size;
    if (!fork) { sleep 600; exit }
    $| = 1; print "up"; sleep 600`;
  const child = Bun.spawn(["/usr/bin/perl", "-e", script], { stdout: "pipe" });
  await new Printed(child.stdout).until("up");
  const meter = createTreeMeter();
  await meter.enter(child.pid);
  // Each of the two has the 20 MB.
  expect(meter.memoryBytes()).toBeWithin(39_000_000, 80_000_000);
  for (const pid of [...readTree(child.pid).pids, child.pid]) process.kill(pid, "SIGKILL");
  await child.exited;
  expect(meter.memoryBytes()).toBe(0);
  await meter.close();
});
