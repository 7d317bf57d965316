import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, symlinkSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { guardSandbox } from "../../src/runner/guarded-sandbox.ts";
import { createBubblewrap } from "../../src/sandbox/bubblewrap.ts";
import type { GuestRequest, Sandbox, SandboxStatus } from "../../src/sandbox/sandbox.ts";
import { runGuest, shellRequest } from "../support/guests.ts";
import { overridden } from "../support/overridden.ts";

/* A real bubblewrap behind a link, which can be made to lead to a program that refuses. */

const runtimeDir = mkdtempSync(join(tmpdir(), "job-runner-guarded-"));
const bwrap = join(runtimeDir, "bwrap");
const lead = (target: string) => {
  rmSync(bwrap, { force: true });
  symlinkSync(target, bwrap);
};
let sandbox: Sandbox;
beforeAll(() => {
  chmodSync(runtimeDir, 0o755);
  lead("/usr/bin/bwrap");
  sandbox = createBubblewrap({
    uids: { first: 30_001, last: 30_100 },
    runtimeDir,
    bwrapPath: bwrap,
  });
});
afterAll(() => {
  unlinkSync(bwrap);
  rmSync(runtimeDir, { recursive: true, force: true });
});

test("a start that fails once is tried again, and nobody is told", async () => {
  let starts = 0;
  const told: SandboxStatus[] = [];
  const flaky = overridden(sandbox, {
    start: (request: GuestRequest) => {
      lead(starts++ === 0 ? "/bin/false" : "/usr/bin/bwrap");
      return sandbox.start(request);
    },
  });
  const guarded = guardSandbox(flaky, (status) => told.push(status));
  expect((await runGuest(guarded, shellRequest("echo hi"))).stdout).toBe("hi\n");
  expect([starts, told.length]).toEqual([2, 0]);
});

test("what is the job's own fault is its error, after two tries", async () => {
  const told: SandboxStatus[] = [];
  const guarded = guardSandbox(sandbox, (status) => told.push(status));
  const error = await guarded
    .start(shellRequest("", { argv: ["/no/such"] }))
    .catch((thrown: unknown) => thrown);
  expect(error).toHaveProperty("code", "sandbox_error");
  expect(told).toEqual([]);
});

test("a sandbox that is broken is told of, with the reason", async () => {
  lead("/bin/false");
  const told: SandboxStatus[] = [];
  const guarded = guardSandbox(sandbox, (status) => told.push(status));
  const error = await guarded.start(shellRequest("exit 0")).catch((thrown: unknown) => thrown);
  expect(error).toHaveProperty("code", "sandbox_unavailable");
  expect(told).toHaveLength(1);
  expect(told[0]).toMatchObject({ driver: "bwrap", ready: false });
  lead("/usr/bin/bwrap");
  expect((await guarded.selfTest()).ready).toBe(true);
});
