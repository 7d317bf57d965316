import { existsSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { MIB } from "../../jobs/limits.ts";
import type { BuildNeeds, InstalledRuntime, InstallStep } from "../runtime.ts";
import { isOfSystem } from "./find-binary.ts";

/*
 * How the dependencies of a job are installed. What the tools leave beside the packages, such as their caches, goes to /tmp,
 * which nothing is kept of.
 */

/** Packages lie in /tmp as they come, and again unpacked; and all of a guest's files count as its memory. */
const INSTALLER_NEEDS: BuildNeeds = {
  memoryBytes: 1024 * MIB,
  processes: 64,
  diskBytes: 512 * MIB,
};

/** A runtime's `install`, where there is one. */
export function withInstall(install: InstallStep | null): Pick<InstalledRuntime, "install"> {
  return install === null ? {} : { install };
}

const PYTHON_PACKAGES = ".packages";
/** As a program finds it whatever its working directory becomes: that of each guest with a network is /work. */
const PYTHON_PATH = `/work/${PYTHON_PACKAGES}`;

/** pip of a Python at `<prefix>/bin/python3.N`; null where that has none. */
export function pipStep(binary: string): InstallStep | null {
  if (!pipFolders(binary).some((folder) => existsSync(join(folder, "pip")))) return null;
  return {
    manifests: ["requirements.txt"],
    argv: () =>
      [
        [binary, "-m", "pip", "install", "--target", PYTHON_PACKAGES, "-r", "requirements.txt"],
        ["--no-input", "--no-cache-dir", "--disable-pip-version-check"],
        ["--no-warn-script-location", "--progress-bar", "off"],
      ].flat(),
    env: {
      // With it, what pip compiles is told from other versions of its source by content, not by a time that is another one in
      // each guest (py_compile's documentation, PycInvalidationMode). This one is the first that a zip archive can hold.
      SOURCE_DATE_EPOCH: "315532800",
    },
    memoryLimit: "address_space",
    needs: INSTALLER_NEEDS,
    mounts: [],
    folder: PYTHON_PACKAGES,
    programEnv(jobEnv) {
      const own = jobEnv["PYTHONPATH"];
      return { ...jobEnv, PYTHONPATH: own ? `${PYTHON_PATH}:${own}` : PYTHON_PATH };
    },
  };
}

/** Where it may be: Debian's is one for all versions of Python. */
function pipFolders(binary: string): readonly string[] {
  const prefix = dirname(dirname(binary));
  const own = join(prefix, "lib", basename(binary));
  const ofDebian = [
    "/usr/lib/python3/dist-packages",
    `/usr/local/lib/${basename(binary)}/dist-packages`,
  ];
  return [join(own, "site-packages"), ...(prefix === "/usr" ? ofDebian : [])];
}

const NODE_PACKAGES = "node_modules";
const NPM_LOCKS = ["npm-shrinkwrap.json", "package-lock.json"];
/** Where it says that packages come from elsewhere than the public registry. */
const NPM_SETTINGS = ".npmrc";

/** The npm beside a node; null where there is none. */
export function npmStep(binary: string): InstallStep | null {
  const npm = npmBeside(binary);
  if (npm === null) return null;
  const folder = dirname(dirname(npm));
  return {
    manifests: ["package.json", ...NPM_LOCKS, NPM_SETTINGS],
    argv: (manifests) =>
      [
        [binary, npm, manifests.some((each) => NPM_LOCKS.includes(each)) ? "ci" : "install"],
        ["--omit=dev", "--no-audit", "--no-fund", "--no-update-notifier", "--no-progress"],
        ["--cache=/tmp/.npm"],
      ].flat(),
    // For the scripts of packages, where its folder is not on the sandbox's own PATH.
    env: { PATH: `${dirname(binary)}:/usr/local/bin:/usr/bin:/bin` },
    memoryLimit: "data",
    needs: INSTALLER_NEEDS,
    mounts: isOfSystem(npm) ? [] : [{ hostPath: folder }],
    folder: NODE_PACKAGES,
    programEnv: (jobEnv) => jobEnv,
  };
}

/** npm's own program, which `npm` is a link to. */
function npmBeside(binary: string): string | null {
  try {
    const npm = realpathSync(join(dirname(binary), "npm"));
    return basename(npm) === "npm-cli.js" ? npm : null;
  } catch {
    return null;
  }
}

export function bunStep(binary: string, reserveBytes: number): InstallStep {
  return {
    manifests: ["package.json", "bun.lock", NPM_SETTINGS],
    argv: () => [binary, "install", "--production", "--no-progress"],
    env: { BUN_INSTALL_CACHE_DIR: "/tmp/.bun", BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0" },
    memoryLimit: "data",
    needs: { ...INSTALLER_NEEDS, memoryBytes: INSTALLER_NEEDS.memoryBytes + reserveBytes },
    mounts: [],
    folder: NODE_PACKAGES,
    programEnv: (jobEnv) => jobEnv,
  };
}
