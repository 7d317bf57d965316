import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createGuestRoot, GUEST_ID, SUPERVISOR } from "../../src/sandbox/guest-root.ts";

const directory = mkdtempSync(join(tmpdir(), "job-runner-root-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test("an /etc with one user, readable by any uid, even under a strict umask", () => {
  const umask = process.umask(0o077);
  const root = createGuestRoot(join(directory, "a/b"));
  process.umask(umask);
  expect(readFileSync(join(root.etc, "passwd"), "utf8")).toContain(`guest:x:${GUEST_ID}:`);
  for (const mount of root.etcMounts) expect(existsSync(join(root.etc, "..", mount))).toBe(true);
  for (const name of ["passwd", "group", "hosts"])
    expect(statSync(join(root.etc, name)).mode & 0o777).toBe(0o644);
  for (const path of [join(directory, "a/b"), root.etc])
    expect(statSync(path).mode & 0o777).toBe(0o755);
  expect(readFileSync(join(root.supervisorDir, SUPERVISOR), "utf8")).toContain(
    "PID 1 of a sandbox",
  );
});

test("nothing of the host's accounts gets in, and it can be made again", () => {
  const again = createGuestRoot(join(directory, "a/b"));
  const names = readdirSync(again.etc);
  for (const name of ["shadow", "sudoers", "machine-id", "environment", "fstab"])
    expect(names).not.toContain(name);
});
