import { expect, test } from "bun:test";

import { encodeBubblewrapArguments } from "../../src/sandbox/bubblewrap-arguments.ts";
import type { ReadOnlyMount } from "../../src/sandbox/sandbox.ts";

const options = (mounts: readonly ReadOnlyMount[] = []) =>
  Buffer.from(
    encodeBubblewrapArguments({
      root: {
        etc: "/run/x/etc",
        etcMounts: ["/etc/ssl/certs"],
        supervisorDir: "/run/x/supervisor",
      },
      mounts,
      diskBytes: 4096,
      statusFd: 4,
      seccompFd: 5,
    }),
  )
    .toString()
    .split("\0");

test("every namespace is asked for by name, every writable place has a size, the rest is read-only", () => {
  const all = options();
  for (const name of ["user", "ipc", "pid", "uts", "net"])
    expect(all).toContain(`--unshare-${name}`);
  expect(all).not.toContain("--unshare-all");
  for (const name of [
    "--disable-userns",
    "--as-pid-1",
    "--new-session",
    "--die-with-parent",
    "--clearenv",
  ])
    expect(all).toContain(name);
  const text = all.join(" ");
  expect(text).toContain("--seccomp 5 --json-status-fd 4");
  for (const place of ["/tmp", "/work"])
    expect(text).toMatch(new RegExp(`--size 4096 --perms \\d+ --tmpfs ${place} `));
  expect(all.filter((each) => each === "--tmpfs")).toHaveLength(3);
  expect(all.filter((each) => each.startsWith("--bind"))).toEqual([]);
  expect(text.indexOf("--remount-ro / ")).toBeGreaterThan(text.lastIndexOf("bind"));
});

test("a mount is read-only, after the guest's own directories, at its own path or another", () => {
  const text = options([{ hostPath: "/tmp/a" }, { hostPath: "/b", guestPath: "/opt/b" }]).join(" ");
  expect(text).toContain("--ro-bind /tmp/a /tmp/a --ro-bind /b /opt/b ");
  expect(text.indexOf("--ro-bind /tmp/a")).toBeGreaterThan(text.indexOf("--tmpfs /tmp"));
});
