import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { ReadOnlyMount } from "../../sandbox/sandbox.ts";
import { asGiven, isOfSystem, realBinary, versionBins } from "./find-binary.ts";
import type { Candidate, HostPlaces, Language } from "./language.ts";
import { pipStep, withInstall } from "./installers.ts";
import { hasVariable, keepCompiled, supportPath } from "./support.ts";

/**
 * Leaves what Python is to load at its start as this version compiles it: each job would do that again. It is not to be
 * compared with its source when it is loaded (PEP 552), which comes from the same hand. Where it cannot be made, jobs do
 * without it.
 */
const TRIAL = `import os, platform, ssl, sqlite3, sys, zlib
print(platform.python_version())
try:
    import py_compile
    for name in ("sitecustomize", "job_runner_wait", "job_runner_end"):
        py_compile.compile(
            os.path.join(sys.argv[1], name + ".py"),
            f"{name}.{sys.implementation.cache_tag}.pyc",
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
except Exception as error:
    print(error, file=sys.stderr)
`;

/** CPython 3: every minor version is a runtime of its own. */
export const python: Language = {
  name: "python",
  hint: "apt-get install python3",
  extensions: [".py"],
  defaultAliases: ["python3", "python"],
  trial: (supportDirectory) => ({
    entry: "trial.py",
    source: TRIAL,
    args: [supportPath(supportDirectory, "python")],
  }),
  keep: keepCompiled,
  candidates,
  describe({ binary, name }, supportDirectory) {
    const mounts = pythonMounts(binary);
    if (mounts === null) return null;
    const site = supportPath(supportDirectory, "python");
    const argv = (entry: string, args: readonly string[]) => [binary, asGiven(entry), ...args];
    const env = (jobEnv: Readonly<Record<string, string>>) => ({
      // Else each import leaves a __pycache__ among the artifacts.
      PYTHONDONTWRITEBYTECODE: "1",
      ...jobEnv,
      PYTHONPATH: jobEnv["PYTHONPATH"] ? `${site}:${jobEnv["PYTHONPATH"]}` : site,
    });
    return {
      name,
      binary,
      mounts: [...mounts, { hostPath: site }],
      memoryLimit: "address_space",
      ...withInstall(pipStep(binary)),
      argv: ({ entry, args }) => argv(entry, args),
      env,
      // What else it could not honour job_runner_wait.py sees for itself.
      interpreterFor: ({ entry, env: jobEnv }) =>
        hasVariable(jobEnv, /^PYTHON/) || !isSource(entry)
          ? null
          : { argv: argv(entry, []), env: env({}) },
    };
  },
};
const REAL_NAME = /^python3\.\d+$/;

/** Anything else that Python runs may be an archive, whose modules what has been loaded ahead would hide. */
function isSource(entry: string): boolean {
  return entry.toLowerCase().endsWith(".py");
}

/**
 * What guests must see of an installation at `<prefix>/bin/python3.N`: the binary, its library and its shared object, and
 * not the prefix itself, which may well be a directory with other people's files beside `bin`. Nothing for what every
 * guest sees anyway; null where there is no such installation.
 */
export function pythonMounts(binary: string): readonly ReadOnlyMount[] | null {
  if (isOfSystem(binary)) return [];
  const library = join(dirname(dirname(binary)), "lib");
  const modules = join(library, basename(binary));
  if (basename(dirname(binary)) !== "bin" || !existsSync(modules)) return null;
  const shared = readdirSync(library).filter((name) => /^libpython3[\w.]*\.so[\d.]*$/.test(name));
  return [binary, modules, ...shared.map((name) => join(library, name))].map((hostPath) => ({
    hostPath,
  }));
}

/** Minor versions that a name like `python3.N` is looked for: 3.7 is the first that can reconfigure its stdout. */
const MINORS = Array.from({ length: 24 }, (_, index) => index + 7);

async function candidates(places: HostPlaces): Promise<readonly Candidate[]> {
  const { homeDirectory: home } = places;
  const managed = await Promise.all(
    [
      join(home, ".pyenv/versions"),
      join(home, ".local/share/uv/python"),
      join(home, ".local/share/mise/installs/python"),
      join(home, ".asdf/installs/python"),
      "/opt/python",
    ].map(versionBins),
  );
  const names = ["python3", ...MINORS.map((minor) => `python3.${minor}`)];
  const paths = [
    ...places.binDirectories.flatMap((bin) => names.map((name) => join(bin, name))),
    ...managed.flat().map((bin) => join(bin, "python3")),
  ];
  const found = await Promise.all(
    paths.map(async (path) => ({ path, binary: await realBinary(path, REAL_NAME) })),
  );
  const meant = found.find(({ path, binary }) => binary !== null && basename(path) === "python3");
  const binaries = new Set(found.flatMap(({ binary }) => (binary === null ? [] : [binary])));
  return [...binaries]
    .map((binary) => ({
      binary,
      name: basename(binary),
      isDefault: binary === meant?.binary,
    }))
    .filter(({ name }) => MINORS.includes(Number(name.slice("python3.".length))));
}
