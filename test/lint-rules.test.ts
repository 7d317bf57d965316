import { beforeAll, expect, test } from "bun:test";
import { type Complaint, lintTree } from "./support/lint-tree.ts";

/*
 * A lint rule that never fires looks just like one that is kept, so each is broken here once. Every other rule of the house
 * that oxlint keeps: a program that breaks it, and where it does not hold, the same program in that place.
 */

/** A program that breaks one rule. Where the rule does not hold, `fineIn` is a place for the same program. */
interface Violation {
  readonly what: string;
  readonly code: string;
  readonly file: string;
  readonly source: string;
  readonly fineIn?: string;
}

const VIOLATIONS: readonly Violation[] = [
  {
    what: "two files that import each other",
    code: "import(no-cycle)",
    file: "src/api/cycle-a.ts",
    source: `import { b } from "./cycle-b.ts";\nexport const a = (): number => b();\n`,
  },
  {
    what: "an import at run time of what may not be imported",
    code: "eslint(no-restricted-imports)",
    file: "src/api/run-time-import.ts",
    source: `export const driver = () => import("../store/redis/store.ts");\n`,
  },
  {
    what: "a Bun-only call",
    code: "eslint(no-restricted-globals)",
    file: "src/api/bun-global.ts",
    fineIn: "src/platform/bun-global.ts",
    source: `export const version = Bun.version;\n`,
  },
  {
    what: "a Bun-only call behind globalThis",
    code: "eslint(no-restricted-properties)",
    file: "src/platform/global-bun.ts",
    source: `export const version = globalThis.Bun.version;\n`,
  },
  {
    what: "a read of the environment",
    code: "eslint(no-restricted-properties)",
    file: "src/api/environment.ts",
    fineIn: "src/config.ts",
    source: `export const home = process.env["HOME"];\n`,
  },
  {
    what: "a read of the environment, taken apart",
    code: "eslint(no-restricted-properties)",
    file: "src/runner/environment.ts",
    source: `const { env } = process;\nexport const home = env["HOME"];\n`,
  },
  {
    what: "a read of the environment through Bun",
    code: "eslint(no-restricted-properties)",
    file: "src/platform/environment.ts",
    source: `export const home = Bun.env["HOME"];\n`,
  },
  {
    what: "an import of the environment",
    code: "eslint(no-restricted-imports)",
    file: "src/platform/environment-import.ts",
    source: `import { env } from "node:process";\nexport const home = env["HOME"];\n`,
  },
  {
    what: "an end of the process",
    code: "eslint(no-restricted-properties)",
    file: "src/runner/exit.ts",
    fineIn: "src/main.ts",
    source: `export function leave(): void {\n  process.exit(1);\n}\n`,
  },
  {
    what: "a function of 61 lines",
    code: "eslint(max-lines-per-function)",
    file: "src/api/long-function.ts",
    fineIn: "test/long-function.ts",
    source: `export function long(print: (line: number) => void): void {\n${"  print(1);\n".repeat(59)}}\n`,
  },
  {
    what: "a file of 301 lines",
    code: "eslint(max-lines)",
    file: "src/api/long-file.ts",
    source: Array.from({ length: 301 }, (_, n) => `export const line${n} = ${n};\n`).join(""),
  },
  {
    what: "any",
    code: "typescript(no-explicit-any)",
    file: "test/any.ts",
    source: `export type Anything = any;\n`,
  },
  {
    what: "a promise that nobody waits for",
    code: "typescript(no-floating-promises)",
    file: "test/floating.ts",
    source: `export function start(work: () => Promise<void>): void {\n  work();\n}\n`,
  },
  {
    what: "a switch that forgets a case",
    code: "typescript(switch-exhaustiveness-check)",
    file: "src/api/switch.ts",
    source: `export function name(way: "in" | "out"): string {\n  switch (way) {\n    case "in":\n      return "in";\n  }\n  return "";\n}\n`,
  },
  {
    what: "a barrel",
    code: "oxc(no-barrel-file)",
    file: "src/api/barrel.ts",
    source: `export * from "./cycle-b.ts";\n`,
  },
  {
    what: "a default export",
    code: "import(no-default-export)",
    file: "src/api/default-export.ts",
    source: `const answer = 42;\nexport default answer;\n`,
  },
  {
    what: "a note for later",
    code: "eslint(no-warning-comments)",
    file: "src/api/note.ts",
    source: `// ${["TO", "DO"].join("")}: later\nexport const answer = 42;\n`,
  },
  {
    what: "a test left out",
    code: "eslint(no-restricted-properties)",
    file: "test/left-out.test.ts",
    source: `import { expect, test } from "bun:test";\ntest.skip("adds", () => {\n  expect(1 + 1).toBe(2);\n});\n`,
  },
];

/** The other half of the cycle. */
const CYCLE_B = `import { a } from "./cycle-a.ts";\nexport const b = (): number => a();\n`;

let complaints: ReadonlyMap<string, readonly Complaint[]>;

beforeAll(async () => {
  const files = new Map([["src/api/cycle-b.ts", CYCLE_B]]);
  for (const { file, fineIn, source } of VIOLATIONS) {
    files.set(file, source);
    if (fineIn !== undefined) files.set(fineIn, source);
  }
  complaints = await lintTree(files);
});

for (const { what, code, file, fineIn } of VIOLATIONS) {
  test(`${what} in ${file} is ${code}`, () => {
    expect(complaints.get(file)?.map(({ rule }) => rule)).toEqual([code]);
  });
  if (fineIn !== undefined) {
    test(`${what} in ${fineIn} is fine`, () => {
      expect(complaints.get(fineIn)).toEqual([]);
    });
  }
}
