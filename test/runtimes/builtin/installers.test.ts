import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { bunStep, npmStep, pipStep } from "../../../src/runtimes/builtin/installers.ts";

/* What the tools themselves do is shown by e2e/dependencies.test.ts. */

let prefix: string;
beforeAll(() => {
  prefix = mkdtempSync(join(tmpdir(), "job-runner-prefix-"));
  chmodSync(prefix, 0o755);
});
afterAll(() => rmSync(prefix, { recursive: true }));

function put(path: string): string {
  const file = join(prefix, path);
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, "");
  return file;
}

describe("pip", () => {
  test("is that of the Python itself, of its own version", () => {
    const binary = put("bin/python3.12");
    put("lib/python3.11/site-packages/pip/__main__.py");
    expect(pipStep(binary)).toBeNull();
    put("lib/python3.12/site-packages/pip/__main__.py");
    const step = pipStep(binary);
    expect(step?.manifests).toEqual(["requirements.txt"]);
    const argv = step?.argv(["requirements.txt"]).join(" ");
    expect(argv).toStartWith(`${binary} -m pip install --target .packages -r requirements.txt `);
  });

  test("puts its packages before what the job itself has on its path", () => {
    const env = pipStep(join(prefix, "bin/python3.12"))?.programEnv;
    expect(env?.({ A: "1" })).toEqual({ A: "1", PYTHONPATH: "/work/.packages" });
    expect(env?.({ PYTHONPATH: "lib" })["PYTHONPATH"]).toBe("/work/.packages:lib");
    expect(env?.({ PYTHONPATH: "" })["PYTHONPATH"]).toBe("/work/.packages");
  });
});

describe("npm", () => {
  test("is the one beside node, behind its link, and is mounted where guests do not see it", () => {
    const binary = put("bin/node");
    expect(npmStep(binary)).toBeNull();
    const cli = put("lib/node_modules/npm/bin/npm-cli.js");
    symlinkSync("../lib/node_modules/npm/bin/npm-cli.js", join(prefix, "bin/npm"));
    const step = npmStep(binary);
    expect(step?.mounts).toEqual([{ hostPath: join(prefix, "lib/node_modules/npm") }]);
    expect(step?.argv(["package.json"]).slice(0, 3)).toEqual([binary, cli, "install"]);
    for (const lock of ["package-lock.json", "npm-shrinkwrap.json"])
      expect(step?.argv(["package.json", lock])[2]).toBe("ci");
    expect(step?.env["PATH"]).toStartWith(`${join(prefix, "bin")}:`);
  });

  test("a program of that name that is something else is none", () => {
    const binary = put("other/node");
    put("other/npm");
    expect(npmStep(binary)).toBeNull();
  });
});

test("bun has its own, and its reserve on top of what installers need", () => {
  const binary = "/usr/bin/bun";
  expect(bunStep(binary, 0).argv([]).slice(0, 3)).toEqual([binary, "install", "--production"]);
  const needed = [0, 1000].map((reserve) => bunStep(binary, reserve).needs.memoryBytes);
  expect(needed[1]).toBe((needed[0] ?? 0) + 1000);
});
