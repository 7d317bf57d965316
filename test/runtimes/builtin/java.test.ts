import { expect, test } from "bun:test";

import { java, mainClass } from "../../../src/runtimes/builtin/java.ts";
import { MIB } from "../../../src/jobs/limits.ts";
import { programOf, useRuntimes } from "../../support/runtimes.ts";

const { run, whereInstalled } = useRuntimes();
const SLOW_MS = 60_000;

test("the main class is the one of the entry's name, in the package that its folders end with", () => {
  expect(mainClass("Main.java", ["Main.class", "Main$1.class"])).toBe("Main");
  expect(mainClass("src/a/b/Main.java", ["a/b/Main.class", "Main.class"])).toBe("a.b.Main");
  expect(mainClass("Main.java", ["other/Main.class", "Main.class"])).toBe("Main");
  expect(mainClass("x/Main.java", ["a/b/Main.class", "a/Other.class"])).toBe("a.b.Main");
  expect(mainClass("Main.java", ["Other.class"])).toBe("Main");
});

test("its heap is a part of what the job has", () => {
  const { argv } = java.describe(
    { binary: "/usr/lib/jvm/x/bin/javac", name: "java", isDefault: true },
    "",
  )!;
  const heapOf = (mb: number) =>
    argv({ ...programOf("A.java"), made: [".compiled/A.class"], memoryBytes: mb * MIB }).find(
      (each) => each.startsWith("-Xmx"),
    );
  expect([heapOf(1024), heapOf(512), heapOf(128)]).toEqual(["-Xmx864m", "-Xmx352m", "-Xmx64m"]);
});

test(
  "packages, resources and text that is not ASCII work",
  whereInstalled("java", async () => {
    const { stdout, stderr } = await run({
      runtime: "java",
      entry: "src/app/Main.java",
      files: {
        "src/app/Main.java":
          'package app;\nclass Main { public static void main(String[] a) throws Exception { System.out.println(lib.Word.WORD + new String(Main.class.getResourceAsStream("/data.txt").readAllBytes(), "UTF-8")); } }\n',
        "src/lib/Word.java":
          'package lib;\npublic class Word { public static final String WORD = "zwölf "; }\n',
        "data.txt": "€",
      },
    });
    expect({ stdout, stderr }).toEqual({ stdout: "zwölf €\n", stderr: "" });
  }),
  SLOW_MS,
);

test(
  "an exception ends with 1, a class without main as well, and too much memory is Java's own error",
  whereInstalled("java", async () => {
    const body = (statement: string) =>
      run({
        runtime: "java",
        entry: "Main.java",
        files: {
          "Main.java": `class Main { public static void main(String[] a) { ${statement} } }\n`,
        },
      });
    const thrown = await body('throw new IllegalStateException("no");');
    expect([thrown.exit!.exitCode, thrown.stderr]).toEqual([1, expect.stringContaining("no")]);
    const full = await body(
      "java.util.List<int[]> l = new java.util.ArrayList<>(); for (;;) l.add(new int[1 << 20]);",
    );
    expect([full.exit!.exitCode, full.stderr]).toEqual([
      1,
      expect.stringContaining("OutOfMemoryError"),
    ]);
    const none = await run({
      runtime: "java",
      entry: "Main.java",
      files: { "Main.java": "class Other {}\n" },
    });
    expect([none.exit!.exitCode, none.stderr]).toEqual([1, expect.stringContaining("Main")]);
  }),
  SLOW_MS,
);
