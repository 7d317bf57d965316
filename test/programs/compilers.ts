import { expect } from "bun:test";

import { DEFAULT_LIMITS, type Ended, type HostileProgram, type Theme } from "./hostile-program.ts";

const COMPILE_ERROR = { status: "failed", reason: "compile_error", artifacts: [] };

type Options = Omit<HostileProgram, "spec" | "files"> & { readonly source: string };

const program =
  (entry: string) =>
  ({ source, ...rest }: Options): HostileProgram => ({
    ...rest,
    spec: { entry },
    files: { [entry]: source },
  });
const cProgram = program("main.c");
const cPlusPlusProgram = program("main.cpp");

/** At which of them depends on the machine; without a cgroup it is the compiler itself that says so of its memory. */
function endsAtLimit(ended: Ended): void {
  expect(ended).toMatchObject(COMPILE_ERROR);
  expect(`${ended.error} ${ended.printed}`).toMatch(
    /out of memory|did not come to its end|used up .* of CPU time/,
  );
}

const END = "int main(void) { return 0; }\n";
const isThere = (path: string) =>
  `#if __has_include("${path}")\n#warning ${path} is there\n#endif\n`;

export const compilers: Theme = {
  title: "Compilers",
  entries: [
    cProgram({
      name: "#include of the host's files",
      tries: "Has the compiler read the host's files, to print lines of them as errors.",
      safeOutcome:
        "The compiler is in a sandbox like any program: what it reads is the `/etc` that was made for it.",
      source: [
        ...["/etc/shadow", "/root/.bashrc"].map(isThere),
        '#include "/etc/passwd"\n',
        END,
      ].join(""),
      expect: (ended: Ended) => {
        expect(ended).toMatchObject(COMPILE_ERROR);
        expect(ended.printed).toContain("root:x:0:0:root:/:/usr/sbin/nologin");
        expect(ended.printed).not.toContain("/bin/bash");
        expect(ended.printed).not.toMatch(/shadow is there|bashrc is there/);
      },
    }),
    cProgram({
      name: ".incbin of the host's files",
      tries: "Has the assembler put the host's password file into the program.",
      safeOutcome: "In the compiler's sandbox there is none: the job failed with `compile_error`.",
      source: `__asm__(".incbin \\"/etc/shadow\\"");\n${END}`,
      expect: (ended: Ended) => {
        expect(ended).toMatchObject(COMPILE_ERROR);
        expect(ended.printed).toContain("/etc/shadow");
      },
    }),
    ...["/dev/zero", "/dev/random"].map((path) =>
      cProgram({
        name: `#include of ${path}`,
        tries: `Has the compiler read ${path}, a file that has no end.`,
        safeOutcome: "It ends at its limit of memory or time: the job failed with `compile_error`.",
        source: `#include "${path}"\n${END}`,
        expect: endsAtLimit,
      }),
    ),
    cProgram({
      name: "a macro of a billion numbers",
      tries: "Is twelve lines long, and ten gigabytes once its macros are expanded.",
      safeOutcome: "It ends at its limit of memory or time: the job failed with `compile_error`.",
      source: [
        "#define A0 1,1,1,1,1,1,1,1,1,1,",
        ...Array.from(
          { length: 9 },
          (_, level) => `#define A${level + 1} ${`A${level} `.repeat(10).trim()}`,
        ),
        `int numbers[] = { A9 };\n${END}`,
      ].join("\n"),
      expect: endsAtLimit,
    }),
    cPlusPlusProgram({
      name: "a trillion templates",
      tries: "Has the compiler work out a tree of templates, forty levels deep.",
      safeOutcome: "It ends at its limit of memory or time: the job failed with `compile_error`.",
      source: `template <int Depth, unsigned long long Node> struct Tree {
  static const int leaves = Tree<Depth - 1, 2 * Node>::leaves + Tree<Depth - 1, 2 * Node + 1>::leaves;
};
template <unsigned long long Node> struct Tree<0, Node> { static const int leaves = 1; };
int main() { return Tree<40, 1>::leaves; }
`,
      expect: endsAtLimit,
    }),
    cProgram({
      name: "a file that includes itself",
      tries: "Has the compiler print a warning for each of the endless times that it is included.",
      safeOutcome:
        "What is printed past `output_mb` is dropped and counted, and the job failed with `compile_error`.",
      source: '#warning again\n#include "main.c"\n#include "main.c"\n',
      expect: (ended: Ended) => {
        expect(ended).toMatchObject(COMPILE_ERROR);
        expect(ended.log.bytes).toBeLessThanOrEqual(DEFAULT_LIMITS.output_mb * 1024 * 1024);
      },
    }),
    cProgram({
      name: "a program of a gigabyte",
      tries: "Is two lines long, and a gigabyte once it is compiled.",
      safeOutcome: "It does not fit on its disk: the job failed with `compile_error`.",
      source: `char data[1 << 30] = {1};\n${END}`,
      expect: (ended: Ended) => {
        expect(ended).toMatchObject(COMPILE_ERROR);
      },
    }),
  ],
};
