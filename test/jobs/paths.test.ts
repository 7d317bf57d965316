import { expect, test } from "bun:test";
import fc from "fast-check";
import { posix } from "node:path";

import { checkRelativePath, findPathConflict } from "../../src/jobs/paths.ts";

const ACCEPTED: readonly (readonly [given: string, path: string])[] = [
  ["main.py", "main.py"],
  ["pkg/util.py", "pkg/util.py"],
  ["./a//b/./c", "a/b/c"],
  ["..a/b..", "..a/b.."],
  ["-rf *", "-rf *"],
  ["a\\..\\b", "a\\..\\b"],
  ["новый файл-🙂", "новый файл-🙂"],
  ["x".repeat(255), "x".repeat(255)],
  [`${"d/".repeat(31)}f`, `${"d/".repeat(31)}f`],
];

for (const [given, path] of ACCEPTED) {
  test(`${JSON.stringify(given).slice(0, 40)} is a path`, () => {
    expect(checkRelativePath(given)).toEqual({ ok: true, path });
  });
}

const REFUSED: readonly (readonly [given: string, why: string])[] = [
  ["", "is empty"],
  ["a\0b", "contains a NUL"],
  ["a\ud800", "is not valid Unicode"],
  ["/etc/passwd", "is absolute"],
  ["..", 'contains ".."'],
  ["a/../../b", 'contains ".."'],
  ["a/", "names a directory"],
  [".", "names no file"],
  ["é".repeat(128), "a component longer than 255 bytes"],
  [`${"d/".repeat(32)}f`, "deeper than 32 directories"],
  [Array.from({ length: 5 }, () => "x".repeat(250)).join("/"), "longer than 1024 bytes"],
];

for (const [given, why] of REFUSED) {
  test(`${JSON.stringify(given).slice(0, 40)} is refused: it ${why}`, () => {
    const check = checkRelativePath(given);
    expect(check.ok ? "accepted" : check.problem).toContain(why);
  });
}

test("no text at all names a place outside the working directory, or twice another one", () => {
  const part = fc.oneof(
    fc.constantFrom("..", ".", "", "a", "/", "\0"),
    fc.string({ unit: "binary" }),
  );
  fc.assert(
    fc.property(fc.array(part), (parts) => {
      const check = checkRelativePath(parts.join("/"));
      if (!check.ok) return;
      const resolved = posix.resolve("/work", check.path);
      expect(resolved).toBe(`/work/${check.path}`);
      expect(checkRelativePath(check.path)).toEqual(check);
    }),
  );
});

test("files of one tree have no conflict", () => {
  expect(findPathConflict([])).toBeNull();
  expect(findPathConflict(["a", "ab/c", "ab/d", "b/a"])).toBeNull();
});

test("a name that is there twice is the conflict", () => {
  expect(findPathConflict(["a", "b/c", "b/c"])?.path).toBe("b/c");
});

test("a file below a file is the conflict, in either order", () => {
  expect(findPathConflict(["a/b", "a/b/c/d"])?.path).toBe("a/b/c/d");
  expect(findPathConflict(["a/b/c", "a"])?.path).toBe("a/b/c");
});
