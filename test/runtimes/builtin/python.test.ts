import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { pythonMounts } from "../../../src/runtimes/builtin/python.ts";

import { Printed, textInput } from "../../support/guests.ts";
import { DEFAULT_LIMITS } from "../../support/guests.ts";
import { programOf, useRuntimes } from "../../support/runtimes.ts";

const { run, named, sandbox } = useRuntimes();
const python = (source: string, more: Readonly<Record<string, string>> = {}, env = {}) =>
  run({ runtime: "python3", entry: "main.py", files: { "main.py": source, ...more }, env });

test("a line that is printed is a line that is seen", async () => {
  const runtime = named("python3");
  const guest = await sandbox.start({
    argv: runtime.argv(programOf("main.py", [])),
    env: runtime.env({}),
    stdin: new Uint8Array(0),
    inputs: [textInput("main.py", "import time\nprint('one', 1)\ntime.sleep(600)")],
    mounts: runtime.mounts,
    limits: DEFAULT_LIMITS,
    memoryLimit: runtime.memoryLimit,
    slot: 0,
  });
  const printed = new Printed(guest.stdout);
  await printed.until("one 1\n");
  expect(printed.text).toBe("one 1\n");
  await guest.destroy();
});

test("what makes it so leaves no trace for the program", async () => {
  const { stdout } = await python(
    "import sys, os\nprint(sys.argv, sys.path[0], os.environ.get('PYTHONPATH'), 'sitecustomize' in sys.modules and sys.path[1:2])\n" +
      "print(any('job-runner' in p for p in sys.path))",
  );
  expect(stdout).toStartWith("['main.py'] /work None");
  expect(stdout).toEndWith("False\n");
});

test("the job's own PYTHONPATH and sitecustomize work as ever", async () => {
  const { stdout } = await python(
    "import os, helper\nprint(os.environ['PYTHONPATH'], helper.word)",
    { "lib/helper.py": "word = 'found'", "lib/sitecustomize.py": "print('customized')" },
    { PYTHONPATH: "/work/lib" },
  );
  expect(stdout).toBe("customized\n/work/lib found\n");
});

test("a traceback has the program's frames alone, and comes whole", async () => {
  const { stderr, exit } = await python("def f():\n    raise ValueError('x')\nf()\n");
  expect(exit!.exitCode).toBe(1);
  expect(stderr).toStartWith('Traceback (most recent call last):\n  File "/work/main.py", line 3');
  expect(stderr.match(/File /g)).toHaveLength(2);
});

test("what waits for a program waits for a source file: an archive may hide what is loaded already", () => {
  const interpreterFor = (entry: string) =>
    named("python3").interpreterFor!({ entry, env: {}, files: [entry] });
  for (const entry of ["main.py", "pkg/MAIN.PY"])
    expect(interpreterFor(entry)!.argv.slice(1)).toEqual([entry]);
  for (const entry of ["app.pyz", "program", "py", "main.pyc", "x.py/app"])
    expect([entry, interpreterFor(entry)]).toEqual([entry, null]);
});

test("imports leave no cache among the artifacts; text is UTF-8", async () => {
  const { stdout, files } = await python("import helper\nprint('zwölf', helper.x)", {
    "helper.py": "x = '€'",
  });
  expect(stdout).toBe("zwölf €\n");
  expect(Object.keys(files).filter((path) => path.includes("pyc"))).toEqual([]);
});

test("too much memory is a MemoryError", async () => {
  const { stderr, exit } = await python("x = bytearray(700 * 1024 * 1024)");
  expect(exit!.exitCode).toBe(1);
  expect(stderr).toContain("MemoryError");
});

test("threads, processes and a closed stdout work", async () => {
  const { stdout } = await python(
    "import threading, subprocess, sys\nt = threading.Thread(target=lambda: print('thread'))\nt.start(); t.join()\n" +
      "sys.stdout.flush()\nsubprocess.run([sys.executable, '-c', 'print(\"child\")'])",
  );
  expect(stdout).toBe("thread\nchild\n");
});

test("of an installation outside /usr guests see the interpreter and its library, nothing beside them", () => {
  const prefix = mkdtempSync(join(tmpdir(), "python-prefix-"));
  for (const directory of ["bin", "lib/python3.12", "lib/other", "secrets"])
    mkdirSync(join(prefix, directory), { recursive: true });
  writeFileSync(join(prefix, "lib/libpython3.12.so.1.0"), "");
  expect(pythonMounts(join(prefix, "bin/python3.12"))).toEqual([
    { hostPath: join(prefix, "bin/python3.12") },
    { hostPath: join(prefix, "lib/python3.12") },
    { hostPath: join(prefix, "lib/libpython3.12.so.1.0") },
  ]);
  expect(pythonMounts(join(prefix, "bin/python3.13"))).toBeNull();
  expect(pythonMounts(join(prefix, "secrets/python3.12"))).toBeNull();
  expect(pythonMounts("/usr/bin/python3.12")).toEqual([]);
  rmSync(prefix, { recursive: true });
});
