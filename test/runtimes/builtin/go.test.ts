import { expect, test } from "bun:test";

import { go } from "../../../src/runtimes/builtin/go.ts";
import { useRuntimes } from "../../support/runtimes.ts";

const { run, named, whereInstalled } = useRuntimes();
/** The standard library is compiled along here. */
const SLOW_MS = 180_000;

test("a package is the entry's folder, without its tests", () => {
  const described = go.describe(
    { binary: "/usr/local/go/bin/go", name: "go", isDefault: true },
    "",
  );
  const argv = described!.compile!.argv({
    entry: "cmd/main.go",
    files: [
      "cmd/main.go",
      "cmd/b.go",
      "cmd/a.go",
      "cmd/a_test.go",
      "cmd/x/y.go",
      "lib.go",
      "go.mod",
    ],
    folder: ".compiled",
  });
  expect(argv.slice(0, 4)).toEqual(["/usr/local/go/bin/go", "build", "-o", ".compiled/main"]);
  expect(argv.slice(4)).toEqual(["./cmd/main.go", "./cmd/a.go", "./cmd/b.go"]);
});

test(
  "its version is Go's own; packages of a module are found by their import paths",
  whereInstalled("go", async () => {
    expect(named("go").version).toMatch(/^\d+\.\d+/);
    const { stdout, stderr } = await run({
      runtime: "go",
      entry: "main.go",
      files: {
        "go.mod": "module example.com/words\n\ngo 1.18\n",
        "main.go":
          'package main\n\nimport "example.com/words/say"\n\nfunc main() { say.Well(word) }\n',
        "word.go": 'package main\n\nconst word = "well"\n',
        "say/say.go":
          'package say\n\nimport "os"\n\nfunc Well(w string) { os.Stdout.WriteString(w + "\\n") }\n',
      },
    });
    expect({ stdout, stderr }).toEqual({ stdout: "well\n", stderr: "" });
  }),
  SLOW_MS,
);

test(
  "a package from the network is refused with a sentence",
  whereInstalled("go", async () => {
    const { stderr, exit } = await run({
      runtime: "go",
      entry: "main.go",
      files: {
        "go.mod": "module example.com/a\n\ngo 1.18\n\nrequire example.com/b v1.0.0\n",
        "main.go": 'package main\n\nimport _ "example.com/b"\n\nfunc main() {}\n',
      },
    });
    expect(exit!.exitCode).toBe(1);
    expect(stderr).toContain("example.com/b");
  }),
  SLOW_MS,
);
