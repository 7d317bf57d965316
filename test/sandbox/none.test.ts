import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createUnsandboxed } from "../../src/sandbox/none.ts";
import { sandboxContract } from "../contract/sandbox-contract.ts";
import { runGuest, shellRequest } from "../support/guests.ts";

const runtimeDir = mkdtempSync(join(tmpdir(), "job-runner-none-"));
afterAll(() => rmSync(runtimeDir, { recursive: true, force: true }));

sandboxContract("none", {
  open: async () => createUnsandboxed({ runtimeDir }),
  close: async () => undefined,
});

test("it is ready, and says in each status that nothing is isolated", async () => {
  const status = await createUnsandboxed({ runtimeDir }).selfTest();
  expect(status).toMatchObject({ driver: "none", ready: true });
  expect(status.gaps.join()).toContain("without isolation");
});

test("a guest's directory is gone with it, however deep", async () => {
  const script = "i=0; while [ $i -lt 1500 ]; do mkdir d; cd d; i=$((i+1)); done; echo done";
  const { stdout } = await runGuest(createUnsandboxed({ runtimeDir }), shellRequest(script));
  expect(stdout).toBe("done\n");
  expect(readdirSync(runtimeDir)).toEqual([]);
});
