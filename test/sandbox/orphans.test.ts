import { afterAll, expect, test } from "bun:test";
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { spawnProcess } from "../../src/platform/spawn.ts";
import { killOrphans } from "../../src/sandbox/orphans.ts";
import { processesWith, untilNoProcessWith } from "../support/guests.ts";

const directory = mkdtempSync(join(tmpdir(), "job-runner-orphans-"));
chmodSync(directory, 0o755);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test("an inner process goes once its bwrap is gone, not before, and only of these uids", async () => {
  const isRoot = process.getuid?.() === 0;
  const uid = isRoot ? 30_998 : (process.getuid?.() ?? -1);
  const marker = crypto.randomUUID();
  // The state lasts under a millisecond in the real one: a perl by the name of bwrap stays in it.
  const inner = join(directory, "bwrap");
  copyFileSync("/usr/bin/perl", inner);
  const outer = spawnProcess({
    argv: [
      ["/usr/bin/bwrap", "--unshare-user", "--unshare-pid", "--as-pid-1", "--ro-bind", "/", "/"],
      ["--dev", "/dev", "--proc", "/proc", inner, "-e", 'print STDERR "up"; sleep 600', marker],
    ].flat(),
    env: {},
    cwd: "/",
    extraFds: [],
    ...(isRoot ? { uid, gid: uid } : {}),
  });
  await outer.stderr.getReader().read();
  const both = processesWith(marker).length;
  expect(both).toBeGreaterThanOrEqual(2);

  killOrphans({ first: uid, last: uid });
  expect(processesWith(marker)).toHaveLength(both);

  outer.kill();
  await outer.exited;
  killOrphans({ first: uid + 1, last: uid + 1 });
  expect(processesWith(marker)).toHaveLength(1);
  killOrphans({ first: uid, last: uid });
  await untilNoProcessWith(marker);
});
