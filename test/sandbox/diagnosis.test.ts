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

test("in a container, the options to start it with", () => {
  const problem = "bwrap: Can't mount proc on /newroot/proc: Operation not permitted";
  expect(explainRefusal(problem, { ...bare, isContainer: true })).toContain(
    "--security-opt systempaths=unconfined",
  );
});

test("an old bubblewrap is told as that, and any other trouble as it is", () => {
  expect(explainRefusal("bwrap: Unknown option --disable-userns", bare)).toContain("0.8 or newer");
  expect(explainRefusal("The moon is full", bare)).toBe("The moon is full");
});

test("this host's settings are read", () => {
  expect(Number(readHostFacts().sysctl["user.max_user_namespaces"])).toBeGreaterThan(0);
});
