import { LANGUAGE_NAMES } from "../../src/jobs/languages.ts";
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { absentLanguages, LANGUAGES } from "../../src/runtimes/languages.ts";
import { ROOT } from "../support/service.ts";

test("a language is absent unless a runtime has its name, or that for an alias", () => {
  const present = [
    { name: "python3.11", aliases: ["python3", "python"] },
    { name: "c++", aliases: ["cpp"] },
  ];
  const absent = absentLanguages(present, LANGUAGE_NAMES);
  const names = absent.map(({ name }) => name);
  for (const name of ["python", "c++"]) expect(names).not.toContain(name);
  for (const name of ["node", "c", "r"]) expect(names).toContain(name);
  // What nobody looks for is not missed.
  expect(absentLanguages(present, ["python", "r"]).map(({ name }) => name)).toEqual(["r"]);
  expect(absent.find(({ name }) => name === "ruby")?.hint).toBe("apt-get install ruby");
});

test("the README's table has every one, by all names and the extension that choose it", () => {
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  const start = readme.indexOf("\n## Runtimes\n");
  const rows = readme.slice(start, readme.indexOf("\n### ", start)).match(/^\| .*$/gm) ?? [];
  const told = rows
    .flatMap((row) => [...(row.split(" | ")[1] ?? "").matchAll(/`([^`]+)`/g)])
    .map((match) => match[1]?.toLowerCase());
  for (const { name, defaultAliases, extensions } of LANGUAGES)
    for (const word of [name, ...defaultAliases, extensions[0]!]) expect(told).toContain(word);
});
