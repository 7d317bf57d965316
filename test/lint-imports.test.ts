import { beforeAll, expect, test } from "bun:test";
import { IMPORT_RULES } from "./support/import-rules.ts";
import { type Complaint, lintTree } from "./support/lint-tree.ts";

/*
 * A lint rule that never fires looks just like one that is kept, so each is broken here once. This is the table of who
 * may import whom (rules 1-6 of the layout): every line of it is an import that oxlint lets pass or refuses.
 */

let complaints: ReadonlyMap<string, readonly Complaint[]>;

beforeAll(async () => {
  const sources = IMPORT_RULES.map(
    ({ file, allowed, refused }) =>
      [file, [...allowed, ...refused].map(importing).join("")] as const,
  );
  complaints = await lintTree(new Map(sources));
});

/** One line, so that a complaint's line number is the import's place in the list. */
function importing(specifier: string, index: number): string {
  return `export type { Part as Part${index} } from "${specifier}";\n`;
}

for (const { file, allowed, refused } of IMPORT_RULES) {
  test(`${file} may not import ${refused.join(", ")}`, () => {
    const specifiers = [...allowed, ...refused];
    const reported = complaints
      .get(file)
      ?.filter(({ rule }) => rule === "eslint(no-restricted-imports)")
      .map(({ line }) => specifiers[line - 1]);
    expect(new Set(reported)).toEqual(new Set(refused));
  });
}
