import { existsSync, readdirSync } from "node:fs";
import { chmod, copyFile, mkdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ReadOnlyMount } from "../../sandbox/sandbox.ts";
import { asGiven, isOfSystem, realBinary, versionBins } from "./find-binary.ts";
import type { Candidate, HostPlaces, Language } from "./language.ts";

/** CPython 3: every minor version is a runtime of its own. */
export const python: Language = {
  extensions: [".py"],
  defaultAliases: ["python3", "python"],
  trial: {
    entry: "trial.py",
    source: "import platform, ssl, sqlite3, zlib\nprint(platform.python_version())\n",
  },
  candidates,
  describe({ binary, name }, supportDirectory) {
    const mounts = installationMounts(binary);
    if (mounts === null) return null;
    const site = siteDirectory(supportDirectory);
    return {
      name,
      binary,
      mounts: [...mounts, { hostPath: site }],
      memoryLimit: "address_space",
      argv: (entry, args) => [binary, asGiven(entry), ...args],
      env: (jobEnv) => ({
        // Else each import leaves a __pycache__ among the artifacts.
        PYTHONDONTWRITEBYTECODE: "1",
        ...jobEnv,
        PYTHONPATH: jobEnv["PYTHONPATH"] ? `${site}:${jobEnv["PYTHONPATH"]}` : site,
      }),
    };
  },
};
const REAL_NAME = /^python3\.\d+$/;

/**
 * What guests must see of an installation at `<prefix>/bin/python3.N`: the binary, its library and its shared object, and
 * not the prefix itself, which may well be a directory with other people's files beside `bin`. Nothing for what every
 * guest sees anyway; null where there is no such installation.
 */
export function installationMounts(binary: string): readonly ReadOnlyMount[] | null {
  if (isOfSystem(binary)) return [];
  const library = join(dirname(dirname(binary)), "lib");
  const modules = join(library, basename(binary));
  if (basename(dirname(binary)) !== "bin" || !existsSync(modules)) return null;
  const shared = readdirSync(library).filter((name) => /^libpython3[\w.]*\.so[\d.]*$/.test(name));
  return [binary, modules, ...shared.map((name) => join(library, name))].map((hostPath) => ({
    hostPath,
  }));
}

function siteDirectory(supportDirectory: string): string {
  return join(supportDirectory, "python");
}

/** Puts sitecustomize.py (line-buffered output) where guests can read it, wherever this service is installed. */
export async function installPythonSupport(supportDirectory: string): Promise<void> {
  const directory = siteDirectory(supportDirectory);
  const target = join(directory, "sitecustomize.py");
  await mkdir(directory, { recursive: true });
  await copyFile(fileURLToPath(new URL("./sitecustomize.py", import.meta.url)), target);
  // The umask of the service may have taken the others' bits.
  await Promise.all([
    chmod(supportDirectory, 0o755),
    chmod(directory, 0o755),
    chmod(target, 0o644),
  ]);
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
