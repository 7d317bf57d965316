import { programsOf } from "./warm-program.ts";
import { zipOf } from "./zip.ts";

const python = programsOf("main.py");

/** The interpreter that waits has loaded another module of that name. */
const RANDOM = { "random.py": "MINE = 'yes'" };
const IMPORT_RANDOM = "import random\nprint(random.__file__, random.MINE)\n";
const PROGRAM = zipOf({ "__main__.py": IMPORT_RANDOM, ...RANDOM });

/** Programs in archives, and modules in archives. */
export const pythonArchives = [
  python(
    "an entry that is a zip",
    "zipped ['app.pyz']",
    zipOf({
      "__main__.py": `import sys, inner
print('zipped', sys.argv, sys.path[0], __file__, inner.__file__, __spec__ and __spec__.name)
raise ValueError('in a zip')
`,
      "inner.py": "",
    }),
    { entry: "app.pyz", spec: { runtime: "python" }, on: "sandbox" },
  ),
  python("an entry that is a zip with a module named like another", "app.pyz/random.py", PROGRAM, {
    entry: "app.pyz",
    spec: { runtime: "python" },
    on: "sandbox",
  }),
  python("a zip that is called like a source", "/work/app.py/random.py yes", PROGRAM, {
    entry: "app.py",
  }),
  python(
    "a zip behind a line for the shell",
    "/work/app.py/random.py yes",
    new Uint8Array(Buffer.concat([Buffer.from("#!/usr/bin/env python3\n"), PROGRAM])),
    { entry: "app.py" },
  ),
  ...["lib.zip", "lib/more.pyz", "lib.EGG", "lib-1.0-py3-none-any.whl"].map((path) =>
    python(
      `a module in ${path}`,
      `/work/${path}/random.py yes`,
      `import sys\nsys.path.insert(0, "/work/${path}")\n${IMPORT_RANDOM}`,
      { files: { [path]: zipOf(RANDOM) } },
    ),
  ),
];
