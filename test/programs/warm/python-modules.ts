import { programsOf } from "./warm-program.ts";

const python = programsOf("main.py");

const SHADOWS = [
  "random",
  "queue",
  "site",
  "sitecustomize",
  "usercustomize",
  "json",
  "types",
  "re",
  "enum",
  "typing",
  "main2",
  "linecache",
];
const IMPORT_ALL = `import importlib, sys
for name in ${JSON.stringify(SHADOWS)}:
    try: module = importlib.import_module(name)
    except ImportError as error: print(name, error); continue
    print(name, module.__file__, getattr(module, "MINE", None))`;

/** Modules that a job brings, and variables that say how to start. */
export const pythonModules = [
  python("modules named like others", "random /work/random.py yes", IMPORT_ALL, {
    files: Object.fromEntries(
      SHADOWS.filter((name) => name !== "json").map((name) => [`${name}.py`, "MINE = 'yes'"]),
    ),
  }),
  ...[
    "random.py",
    "queue.py",
    "site.py",
    "sitecustomize.py",
    "usercustomize.py",
    "string.py",
    "enum.py",
    "json/__init__.py",
    "json/data.txt",
    "lib/random.py",
    "lib/json/__init__.py",
  ].map((path) =>
    python(
      `a file named ${path}`,
      "random /",
      `import sys\nsys.path.insert(0, "/work/lib")\n${IMPORT_ALL}`,
      { files: { [path]: "MINE = 'yes'" } },
    ),
  ),
  python(
    "a package of extension modules",
    "queue /",
    `import importlib\n${IMPORT_ALL}`.replace(
      "module.__file__",
      "getattr(module, '__file__', None) if name != 'random' else None",
    ),
    {
      files: { "random.cpython-311-x86_64-linux-gnu.so": "not ELF" },
    },
  ),
  python(
    "its own site-packages",
    "found /work/.local",
    `import helper, sys
print("found", helper.__file__, [each for each in sys.path if "local" in each])`,
    {
      files: Object.fromEntries(
        [7, 8, 9, 10, 11, 12, 13].flatMap((minor) => [
          [`.local/lib/python3.${minor}/site-packages/helper.py`, ""],
          [
            `.local/lib/python3.${minor}/site-packages/x.pth`,
            "import sys; print('from a pth file', sys.argv)",
          ],
          [`.local/lib/python3.${minor}/site-packages/usercustomize.py`, "print('usercustomize')"],
        ]),
      ),
    },
  ),
  ...Object.entries({
    PYTHONPATH: "/work/lib",
    PYTHONHASHSEED: "0",
    PYTHONUNBUFFERED: "1",
    PYTHONOPTIMIZE: "2",
    PYTHONWARNINGS: "error",
    PYTHONDONTWRITEBYTECODE: "",
    PYTHONUTF8: "0",
    PYTHONIOENCODING: "latin-1",
    PYTHONDEVMODE: "1",
    PYTHONNOUSERSITE: "1",
    PYTHONINSPECT: "",
    PYTHONSTARTUP: "lib/helper.py",
    LC_ALL: "C",
    LANG: "C",
    LANGUAGE: "de",
    TZ: "America/New_York",
    HOME: "/tmp",
    MALLOC_ARENA_MAX: "1",
    LD_PRELOAD: "/nowhere.so",
  }).map(([name, value]) =>
    python(
      `the variable ${name}`,
      name,
      `import os, sys, time, locale, warnings, site
print("${name}", os.environ["${name}"], sys.flags, time.tzname, locale.getpreferredencoding(), sys.stdout.encoding, sys.path, site.USER_SITE)
try: print(hash("abc") if "HASHSEED" in "${name}" else "", __import__("helper").x, __debug__)
except ImportError as error: print(error)
warnings.warn("warned")
print("\\u00e9")`,
      {
        spec: { env: { [name]: value } },
        files: { "lib/helper.py": "x = 1\nprint('helper')" },
        on: "sandbox",
      },
    ),
  ),
  ...Object.entries({
    PATH: "/usr/bin:/work",
    TMPDIR: "/work",
    TERM: "dumb",
    NO_COLOR: "1",
    FORCE_COLOR: "1",
    USER: "me",
    COLUMNS: "30",
    DISPLAY: ":0",
    SHELL: "/bin/sh",
  }).map(([name, value]) =>
    python(
      `the variable ${name}`,
      name,
      `import argparse, os, shutil, subprocess, sys, tempfile, getpass
print("${name}", os.environ["${name}"], tempfile.gettempdir(), shutil.which("perl"), shutil.get_terminal_size(), getpass.getuser())
argparse.ArgumentParser(description="long " * 20).print_help()
print(subprocess.check_output(["sh", "-c", "echo $${name}"]))
None.x`,
      { spec: { env: { [name]: value } } },
    ),
  ),
];
