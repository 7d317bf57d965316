import { expect, test } from "bun:test";

import { cLanguage, cPlusPlus } from "../../../src/runtimes/builtin/c.ts";
import { programOf, useRuntimes } from "../../support/runtimes.ts";

const { run, whereInstalled } = useRuntimes();

const compileArgv = (language: typeof cLanguage, binary: string, files: readonly string[]) =>
  language
    .describe({ binary, name: language.name, isDefault: true }, "/support")!
    .compile!.argv({ entry: files[0]!, files, folder: ".compiled" });

test("compiled are the entry and what else of the language is in its folder or below", () => {
  const files = ["src/main.c", "src/b/z.c", "src/a.C", "src/a.h", "src/x.cpp", "srcs/n.c", "top.c"];
  const argv = compileArgv(cLanguage, "/usr/bin/gcc-12", files);
  expect(argv.slice(0, 2)).toEqual(["/usr/bin/gcc-12", "-std=gnu17"]);
  expect(argv.slice(argv.indexOf("-o")).join(" ")).toBe(
    "-o .compiled/main -x c ./src/main.c ./src/a.C ./src/b/z.c ./.compiled/line-buffering.c -lm",
  );
  const atTheTop = compileArgv(cLanguage, "/usr/bin/gcc-12", ["main.c", "a/b.c", "c.c"]);
  expect(atTheTop.filter((each) => each.endsWith(".c"))).toEqual([
    "./main.c",
    "./a/b.c",
    "./c.c",
    "./.compiled/line-buffering.c",
  ]);
});

test("clang compiles C++ when it is told to", () => {
  const option = "--driver-mode=g++";
  expect(compileArgv(cPlusPlus, "/usr/lib/llvm-14/bin/clang", ["a.cpp"])).toContain(option);
  expect(compileArgv(cPlusPlus, "/usr/bin/g++-12", ["a.cpp"])).not.toContain(option);
  expect(compileArgv(cLanguage, "/usr/bin/clang-14", ["a.c"])).not.toContain(option);
});

test("what runs is what was made", () => {
  const { argv } = cLanguage.describe(
    { binary: "/usr/bin/gcc", name: "c", isDefault: true },
    "/support",
  )!;
  expect(argv({ ...programOf("main.c", ["-x"]), made: [".compiled/main"] })).toEqual([
    "./.compiled/main",
    "-x",
  ]);
});

test(
  "names that look like options, files of options or nothing at all are names",
  whereInstalled("c", async () => {
    // Neither of the last two is C by its name: one is C++ to the compiler, the other is for the linker.
    for (const entry of ["-o.c", "@x.c", "a b.c", "-.c", "main.C", "main"]) {
      const { stdout } = await run({
        runtime: "c",
        entry,
        files: { [entry]: '#include <stdio.h>\nint main(void) { puts("hello"); }\n' },
      });
      expect([entry, stdout]).toEqual([entry, "hello\n"]);
    }
  }),
  30_000,
);

test(
  "C++20, threads and mathematics are there",
  whereInstalled("c++", async () => {
    const source = `#include <cmath>
#include <iostream>
#include <ranges>
#include <thread>
#include <vector>
int main() {
  std::vector<int> v{1, 2, 3};
  std::thread([&] { for (int i : v | std::views::reverse) std::cout << i; }).join();
  std::cout << std::lround(std::sqrt(16.0)) << std::endl;
}
`;
    const { stdout } = await run({ runtime: "c++", entry: "a.cc", files: { "a.cc": source } });
    expect(stdout).toBe("3214\n");
  }),
  30_000,
);
