import { expect, test } from "bun:test";

import { installProblem } from "../../src/api/install-check.ts";
import type { WorkerRuntime } from "../../src/store/store.ts";

const runtime = (name: string, installs: string | null): WorkerRuntime => ({
  name,
  version: "1",
  aliases: [],
  extensions: [],
  compiles: false,
  installs,
});
const python = runtime("python3.11", "requirements.txt");
const lua = runtime("lua", null);
const code = (path: string) => ({ path, role: "code" as const });

test("a job needs the manifest of its runtime, as a code file at the top", () => {
  expect(installProblem(python, [code("main.py"), code("requirements.txt")], [python])).toBeNull();
  for (const files of [
    [],
    [code("package.json")],
    [code("sub/requirements.txt")],
    [{ path: "requirements.txt", role: "input" as const }],
  ])
    expect(installProblem(python, files, [python])).toContain("a file requirements.txt");
});

test("a runtime without an installer is told from those with one", () => {
  const files = [code("requirements.txt")];
  expect(installProblem(lua, files, [python, lua])).toContain("python3.11 (requirements.txt)");
  expect(installProblem(lua, files, [lua])).toContain("nor for any other runtime");
});

test("a worker of a version that did not say what it installs has nothing to install with", () => {
  const { installs: _unsaid, ...older } = python;
  const files = [code("requirements.txt")];
  expect(installProblem(older as WorkerRuntime, files, [])).toContain("python3.11");
});
