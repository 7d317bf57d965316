import { LANGUAGE_NAMES } from "../../src/jobs/languages.ts";
import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createBubblewrap } from "../../src/sandbox/bubblewrap.ts";
import { discoverRuntimes } from "../../src/runtimes/discover.ts";
import { PROGRAMS } from "../support/languages.ts";
import { useRuntimes } from "../support/runtimes.ts";

const runtimes = useRuntimes();

/** Go's, which has no compiled standard library here, and Java's. */
const SLOW_MS = 120_000;

test("what every machine of this project has is found, with versions, in a second or so", async () => {
  const startedMs = performance.now();
  const found = await runtimes.discover();
  expect(performance.now() - startedMs).toBeLessThan(5_000);
  const names = found.map(({ name }) => name);
  for (const name of ["bash", "sh", "bun"]) expect(names).toContain(name);
  expect(names.some((name) => /^python3\.\d+$/.test(name))).toBe(true);
  expect(new Set(names).size).toBe(names.length);
  const [python] = found.filter(({ aliases }) => aliases.includes("python3"));
  expect(python!.version).toStartWith(`${python!.name.slice("python".length)}.`);
  expect(python!.aliases).toEqual(["python3", "python"]);
  expect(found.find(({ name }) => name === "bun")!.aliases).toEqual(["typescript"]);
});

describe("what each version of Python loads at its start", () => {
  const folder = join(runtimes.runtimeDir, "python", "__pycache__");
  const contents = () =>
    Object.fromEntries(
      readdirSync(folder).map((name) => [name, readFileSync(join(folder, name)).toBase64()]),
    );
  const run = (source: string, env = {}) =>
    runtimes.run({ runtime: "python3", entry: "main.py", files: { "main.py": source }, env });

  test("is compiled for it, and not compared with its source", async () => {
    const versions = runtimes.all().filter(({ name }) => name.startsWith("python3."));
    const tags = versions.map(({ name }) => name.replace("python3.", "cpython-3"));
    const names = ["sitecustomize", "job_runner_wait", "job_runner_end"];
    expect(Object.keys(contents()).toSorted()).toEqual(
      tags.flatMap((tag) => names.map((name) => `${name}.${tag}.pyc`)).toSorted(),
    );
    // Behind the magic number the flags of PEP 552: by a hash, which nobody checks.
    for (const name of Object.keys(contents()))
      expect(readFileSync(join(folder, name)).readUInt32LE(4)).toBe(1);
    const { stderr } = await run("", { PYTHONVERBOSE: "1" });
    expect(stderr).toContain(`code object from '${folder}/sitecustomize.`);
  });

  test("no job can write", async () => {
    const before = contents();
    const { stdout } = await run(`import os
for name in [*os.listdir("${folder}"), "made.pyc"]:
    try: open("${folder}/" + name, "r+b" if name != "made.pyc" else "xb")
    except OSError as error: print("refused")
try: os.rename("${folder}", "${folder}-2")
except OSError: print("refused")
`);
    expect(stdout).toBe("refused\n".repeat(Object.keys(before).length + 2));
    expect(contents()).toEqual(before);
  });

  test("is made again with the next discovery, and a job runs without it", async () => {
    const before = contents();
    rmSync(folder, { recursive: true });
    expect(await run("print('hello')")).toMatchObject({ stdout: "hello\n", stderr: "" });
    await runtimes.discover();
    expect(contents()).toEqual(before);
  });
});

describe("hello under the default limits", () => {
  const hellos: Record<string, string> = {
    "hello.py": "print('hello')",
    "hello.mjs": "console.log('hello')",
    "hello.ts": "console.log('hello' as string)",
    "hello.sh": "echo hello",
    ...Object.fromEntries(PROGRAMS.map(({ entry, source }) => [entry, source])),
  };
  const helloOf = (extensions: readonly string[]) =>
    Object.keys(hellos).find((each) => extensions.includes(each.slice(5).toLowerCase()))!;
  test(
    "every runtime that is offered",
    async () => {
      for (const { name, extensions } of runtimes.all()) {
        const entry = helloOf(extensions);
        const { stdout, stderr, exit, files } = await runtimes.run({
          runtime: name,
          entry,
          files: { [entry]: hellos[entry]! },
        });
        expect([name, stdout, stderr, exit?.exitCode]).toEqual([name, "hello\n", "", 0]);
        // Nothing among the artifacts but, at most, what the program was given.
        const given = (path: string) => path === entry || path.startsWith(".compiled/");
        expect(Object.keys(files).filter((path) => !given(path))).toEqual([]);
      }
    },
    SLOW_MS,
  );

  test("entries that look like options or subcommands are files", async () => {
    const entries: Record<string, readonly string[]> = {
      ".c": ["-x.c", "@file.c", "a b'\".c"],
      ".rb": ["-e.rb"],
      ".pl": ["-e.pl"],
      ".php": ["-r.php"],
      ".lua": ["-v.lua"],
      ".r": ["-e.r"],
      ".rs": ["-x y.rs"],
      ".py": ["-x.py", "-c.py", "a b'\".py"],
      ".sh": ["-c.sh", "+x.sh", "--help.sh"],
      ".js": ["-e.js", "--version.js", "inspect.js", "test.js"],
    };
    for (const { name, extensions } of runtimes.all())
      for (const [extension, names] of Object.entries(entries)) {
        if (!extensions.includes(extension)) continue;
        const source = hellos[extension === ".js" ? "hello.mjs" : helloOf([extension])]!;
        for (const entry of names) {
          const { stdout } = await runtimes.run({
            runtime: name,
            entry,
            files: { [entry]: source },
          });
          expect([name, entry, stdout]).toEqual([name, entry, "hello\n"]);
        }
      }
  });
});

describe("what is no use to a job is not offered", () => {
  const places: string[] = [];
  afterAll(() => {
    for (const directory of places) rmSync(directory, { recursive: true });
  });
  const place = () => {
    const directory = mkdtempSync(join(tmpdir(), "job-runner-places-"));
    places.push(directory);
    chmodSync(directory, 0o755);
    return directory;
  };

  test("scripts in the place of a program are not run: shims", async () => {
    const bin = place();
    const ran = join(bin, "ran");
    writeFileSync(join(bin, "bash"), `#!/bin/sh\ntouch ${ran}\necho 9.9\n`, { mode: 0o755 });
    const bash = (await runtimes.discover(`${bin}:/usr/bin`)).find(({ name }) => name === "bash");
    expect(bash!.binary).toBe("/usr/bin/bash");
    expect(await Bun.file(ran).exists()).toBe(false);
  });

  test("a link leads to the real program", async () => {
    const bin = place();
    symlinkSync(process.execPath, join(bin, "bun"));
    const bun = (await runtimes.discover(bin)).find(({ name }) => name === "bun");
    expect(bun!.binary).not.toStartWith(bin);
    expect(bun!.version).toBe(Bun.version);
  });

  if (process.getuid?.() === 0)
    test("what the job's uid cannot reach gives way to the next", async () => {
      const home = place();
      mkdirSync(join(home, "bin"));
      copyFileSync("/usr/bin/bash", join(home, "bin/bash"));
      chmodSync(home, 0o700);
      const bash = (await runtimes.discover(`${join(home, "bin")}:/usr/bin`)).find(
        ({ name }) => name === "bash",
      );
      expect(bash!.binary).toBe("/usr/bin/bash");
    });

  test("nothing is offered where no sandbox works", async () => {
    const { runtimeDir } = runtimes;
    const sandbox = createBubblewrap({
      uids: { first: 30_001, last: 30_100 },
      runtimeDir,
      bwrapPath: "/no/bwrap",
    });
    const found = await discoverRuntimes({
      languages: LANGUAGE_NAMES,
      sandbox,
      searchPath: "/usr/bin",
      homeDirectory: "/nonexistent",
      runtimeDir,
      mayInstall: false,
    });
    expect(found).toEqual([]);
  });
});
