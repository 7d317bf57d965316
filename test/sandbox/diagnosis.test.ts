import { expect, test } from "bun:test";

import { explainRefusal, readHostFacts } from "../../src/sandbox/diagnosis.ts";

const REFUSED = "bwrap: Creating new namespace failed: Operation not permitted";
const bare = { isContainer: false, sysctl: {} };

test.each([
  ["user.max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"],
  ["kernel.unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"],
  [
    "kernel.apparmor_restrict_unprivileged_userns",
    "1",
    "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
  ],
])("%s = %s: the command that mends it", (name, value, command) => {
  expect(explainRefusal(REFUSED, { ...bare, sysctl: { [name]: value } })).toContain(command);
});

test("settings that allow it are not blamed", () => {
  const sysctl = { "user.max_user_namespaces": "96364", "kernel.unprivileged_userns_clone": "1" };
  expect(explainRefusal(REFUSED, { ...bare, sysctl })).not.toContain("sysctl -w");
});

// As bubblewrap 0.8 says it: the first, the third (with SYS_ADMIN added) and the fifth seen under Docker 20.10, the fourth under podman 4.3.
test.each([
  [
    "bwrap: No permissions to create new namespace, likely because the kernel does not allow non-privileged user namespaces. See <https://deb.li/bubblewrap>.",
    "seccomp=docker/seccomp.json",
  ],
  [REFUSED, "seccomp=docker/seccomp.json"],
  ["bwrap: pivot_root: Operation not permitted", "seccomp=docker/seccomp.json"],
  ["bwrap: Can't set hostname to sandbox: Operation not permitted", "seccomp=docker/seccomp.json"],
  ["bwrap: Can't mount proc on /newroot/proc: Operation not permitted", "systempaths=unconfined"],
  ["bwrap: Failed to make / slave: Permission denied", "apparmor=unconfined"],
])("in a container, %p: all its options, and that %s is missing", (problem, missing) => {
  const explained = explainRefusal(problem, { ...bare, isContainer: true });
  for (const option of ["seccomp=docker/seccomp.json", "systempaths=unconfined"])
    expect(explained).toContain(`--security-opt ${option}`);
  expect(explained.match(/(\S+) seems to be missing:/)?.[1]).toBe(missing);
  expect(explained).not.toContain("..");
});

test("in a container, a refusal of another kind blames no option", () => {
  const problem = "bwrap: setting up uid map: Permission denied";
  const explained = explainRefusal(problem, { ...bare, isContainer: true });
  expect(explained).toContain("--security-opt systempaths=unconfined");
  expect(explained).not.toContain("missing");
});

test("where no container left its mark, its options come beside the other causes", () => {
  const explained = explainRefusal(REFUSED, bare);
  for (const cause of ["In a container: ", "RestrictNamespaces=no", "SELinux"])
    expect(explained).toContain(cause);
});

test("an old bubblewrap is told as that, and any other trouble as it is", () => {
  expect(explainRefusal("bwrap: Unknown option --disable-userns", bare)).toContain("0.8 or newer");
  expect(explainRefusal("The moon is full", bare)).toBe("The moon is full");
});

test("this host's settings are read", () => {
  expect(Number(readHostFacts().sysctl["user.max_user_namespaces"])).toBeGreaterThan(0);
});
