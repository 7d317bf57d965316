import { expect, test } from "bun:test";

import { useRuntimes } from "../../support/runtimes.ts";

const { run, named, whereInstalled } = useRuntimes();
/** The standard library is compiled along here. */
const SLOW_MS = 180_000;

test(
  "a package is the entry's folder, without its tests and what is for other systems, with or without a go.mod",
  whereInstalled("go", async () => {
    const files = {
      "cmd/main.go": 'package main\n\nfunc main() { println(word(), len("x")) }\n',
      "cmd/w_linux.go": 'package main\n\nfunc word() string { return "linux" }\n',
      "cmd/w_windows.go": 'package main\n\nfunc word() string { return "windows" }\n',
      "cmd/tool.go": "//go:build ignore\n\npackage main\n\nfunc main() {}\n",
      "cmd/main_test.go": 'package main\n\nimport "no/such/package"\n',
      "lib.go": "package lib\n",
    };
    for (const more of [{}, { "go.mod": "module example.com/words\n\ngo 1.18\n" }]) {
      const { stderr, exit } = await run({
        runtime: "go",
        entry: "cmd/main.go",
        files: { ...files, ...more },
      });
      expect([stderr, exit?.exitCode]).toEqual(["linux 1\n", 0]);
    }
  }),
  SLOW_MS,
);

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
