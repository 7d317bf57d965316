import { expect } from "bun:test";

import { leaves, namesOf } from "./artifact-downloads.ts";
import { python, type Theme } from "./hostile-program.ts";

const touch = (...names: readonly string[]) => `
for name in ${JSON.stringify(names)}:
    open(name, "w").write("made\\n")
`;

const ODD_NAMES = [
  '"quoted".txt',
  "it's",
  "-rf",
  "--help",
  "a;b|c&d",
  "$(id)`id`",
  "a b",
  "ünï¢ode",
  "\u202etxt.exe",
  "\ufeffbom",
  "#hash",
  "why?",
  "100%",
  "%41",
  "a+b",
  "~",
  "*",
  "con",
  ".hidden",
  "a:b",
  "<b>",
  "\u0001\u007f",
  "😀",
];

const PATH_LIKE_NAMES = [
  "..a",
  "...",
  "a..",
  ".. ",
  "..%2f..%2fetc%2fpasswd",
  "%2e%2e",
  "..\\..\\windows",
  "C:\\x",
  "..;",
];

export const artifactNames: Theme = {
  title: "Names of artifacts",
  entries: [
    python({
      name: "names that fill the record",
      tries: "Leaves 1,000 files whose names are as long as names can be.",
      safeOutcome: "All names together are bounded: a job's record stays small.",
      source: `
import os
directory = "/".join(["d" * 250] * 3)
os.makedirs(directory)
for n in range(1_000): open(f"{directory}/{n:0250}", "w").close()
`,
      expect(ended) {
        expect(ended).toMatchObject({ status: "succeeded" });
        expect(namesOf(ended).join("").length).toBeLessThanOrEqual(256 * 1024);
        expect(ended.warnings.join()).toContain("were not kept");
      },
    }),
    python({
      name: "names with newlines and headers in them",
      tries: "Names files so that a header of the answer would end, and another begin.",
      safeOutcome: "Names are encoded in headers and URLs; nothing is injected.",
      source: touch("a\nb", "a\r\nX-Injected: 1\r\n\r\nbody", "a\rSet-Cookie: x=1", "tab\there"),
      expect: leaves("a\nb", "a\r\nX-Injected: 1\r\n\r\nbody", "a\rSet-Cookie: x=1", "tab\there"),
    }),
    python({
      name: "names with quotes, marks and signs",
      tries:
        "Names files so that quoted strings, shells, URLs and readers take them for something else.",
      safeOutcome: "A name is data: each is found under its own URL and nothing else.",
      source: touch(...ODD_NAMES),
      expect: leaves(...ODD_NAMES),
    }),
    python({
      name: "names like paths",
      tries: "Names files as steps upwards, plain, encoded and by backslash.",
      safeOutcome: "They are names of files in /work, and stay in the job's folder.",
      source: touch(...PATH_LIKE_NAMES),
      expect: leaves(...PATH_LIKE_NAMES),
    }),
    python({
      name: "names that are no text",
      tries: "Names files by bytes that are no UTF-8, and by 255 bytes.",
      safeOutcome: "No text, no artifact: left out and said; long names are kept.",
      source: `
for name in (b"bad\\xff", b"\\xc0\\xaf..", b"\\xed\\xa0\\x80", b"x" * 255): open(name, "w").write("made\\n")
`,
      async expect(ended, world) {
        await leaves("x".repeat(255))(ended, world);
        expect(ended.warnings.join()).toStartWith("3 of the files");
      },
    }),
  ],
};
