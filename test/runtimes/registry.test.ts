import { describe, expect, test } from "bun:test";

import { AppError } from "../../src/errors.ts";
import { createRuntimeRegistry } from "../../src/runtimes/registry.ts";

const python = (minor: number, aliases: readonly string[] = []) => ({
  name: `python3.${minor}`,
  version: `3.${minor}.1`,
  aliases,
  extensions: [".py"],
});
const RUNTIMES = [
  python(11, ["python3", "python"]),
  python(9),
  { name: "node", version: "20.1.0", aliases: [], extensions: [".js"] },
  { name: "bash", version: "5.2", aliases: [], extensions: [".sh", ".bash"] },
  { name: "sh", version: "dash", aliases: [], extensions: [".sh"] },
];
const registry = createRuntimeRegistry(RUNTIMES, { strict: false });
const strict = createRuntimeRegistry(RUNTIMES, { strict: true });

function refusal(resolve: () => unknown): AppError {
  try {
    resolve();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error("It was not refused");
}

test("names and aliases are exact, without a warning", () => {
  for (const [asked, name] of Object.entries({
    "python3.9": "python3.9",
    python3: "python3.11",
    python: "python3.11",
    node: "node",
    sh: "sh",
  }))
    for (const each of [registry, strict]) {
      const { runtime, warnings } = each.resolve(asked, "whatever");
      expect([runtime.name, warnings]).toEqual([name, []]);
    }
});

test("without a name the extension chooses, the first listed of several", () => {
  for (const [entry, name] of Object.entries({
    "a/b.PY": "python3.11",
    "x.js": "node",
    "x.sh": "bash",
    "-x.py": "python3.11",
  }))
    expect(registry.resolve(undefined, entry)).toMatchObject({ runtime: { name }, warnings: [] });
});

test("an absent minor runs on the nearest one of its major, and says so", () => {
  for (const [asked, name] of Object.entries({
    "python3.12": "python3.11",
    "python3.10": "python3.11",
    "python3.6": "python3.9",
  })) {
    const { runtime, warnings } = registry.resolve(asked, "main.py");
    expect(runtime.name).toBe(name);
    expect(warnings).toEqual([`${asked} is not installed here; the job runs on ${name} instead.`]);
  }
});

describe("refused with what is installed", () => {
  const cases = [
    "python2.7",
    "python4.1",
    "ruby",
    "",
    "python3.",
    "python3.11.2",
    "node20.1",
    "__proto__",
  ];
  for (const name of cases)
    test(`the runtime ${JSON.stringify(name)}`, () => {
      const error = refusal(() => registry.resolve(name, "main.py"));
      expect(error.code).toBe("unknown_runtime");
      expect(error.fields.map(({ pointer }) => pointer)).toEqual(["/spec/runtime"]);
      expect(error.message).toContain("python3.11 (python3, python), python3.9, node, bash, sh");
    });

  test("an absent minor, when strict", () => {
    expect(refusal(() => strict.resolve("python3.12", "main.py")).code).toBe("unknown_runtime");
  });

  test("an entry whose extension nobody has, or none", () => {
    for (const entry of ["main.rb", "Makefile", ".py", "dir.py/file"]) {
      const error = refusal(() => registry.resolve(undefined, entry));
      expect([error.code, error.fields[0]?.pointer]).toEqual(["unknown_runtime", "/spec/entry"]);
    }
  });

  test("anything, where nothing is installed", () => {
    const none = createRuntimeRegistry([], { strict: false });
    expect(refusal(() => none.resolve("python3", "a.py")).message).toContain(
      "No runtime is installed",
    );
  });
});
