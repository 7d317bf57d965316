import { join } from "node:path";
import { MIB } from "../../jobs/limits.ts";
import { asPath, binaryMount, realBinary, versionBins } from "./find-binary.ts";
import type { Candidate, HostPlaces, Language } from "./language.ts";
import { bunStep, npmStep, withInstall } from "./installers.ts";
import { hasVariable, supportPath } from "./support.ts";

/*
 * node, bun and deno reserve gigabytes of address space, which a limit on that kills at start: their heap is limited by
 * the data segment where that works. Entries get `./` in front always: `node inspect` and `bun test` are subcommands,
 * and the program sees an absolute path anyhow.
 */

const VERSION_SOURCE = (expression: string) => `console.log(${expression});\n`;

/**
 * Its own, four workers and a timer of V8's, and one that waits for signals to start a debugger. Seen with node 18 to 25; a few
 * more, so that a newer one may have them.
 */
const NODE_WAITING_THREADS = 10;

export const node: Language = {
  name: "node",
  hint: "apt-get install nodejs",
  extensions: [".js", ".mjs", ".cjs"],
  spareExtensions: (version) => (stripsTypes(version) ? [".ts", ".mts", ".cts"] : []),
  defaultAliases: [],
  trial: () => ({ entry: "trial.mjs", source: VERSION_SOURCE("process.versions.node") }),
  candidates: (places) =>
    candidates(places, "node", [
      ".nvm/versions/node",
      ".local/share/mise/installs/node",
      ".asdf/installs/nodejs",
    ]),
  describe: ({ binary, name }, supportDirectory) => {
    const support = supportPath(supportDirectory, "javascript");
    return {
      name,
      binary,
      mounts: [...binaryMount(binary), { hostPath: support }],
      memoryLimit: "data",
      ...withInstall(npmStep(binary)),
      argv: ({ entry, args }) => [binary, asPath(entry), ...args],
      env: (jobEnv) => jobEnv,
      waitingThreads: NODE_WAITING_THREADS,
      interpreterFor: ({ entry, env, files }) =>
        // When it loads wait.cjs it looks for a package.json here, and remembers that there is none.
        hasVariable(env, /^(?:NODE_|UV_|SSLKEYLOGFILE)/) || files.includes("package.json")
          ? null
          : {
              argv: [binary, asPath(entry)],
              // Not an argument: process.execArgv, which forked processes get, shall have nothing of it.
              env: { NODE_OPTIONS: `--require=${join(support, "wait.cjs")}` },
            },
    };
  },
};

/** Whether a version of node runs TypeScript without being asked to (nodejs.org/api/typescript.html, its history). */
export function stripsTypes(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 23 || (major === 23 && minor >= 6) || (major === 22 && minor >= 18);
}

/** Seen: bun 1.4 does not start with a data segment of 260 MiB, and does with 270; deno 2.9 with 550, not with 540. */
const BUN_RESERVE_BYTES = 256 * MIB;
const DENO_RESERVE_BYTES = 512 * MIB;

/**
 * Not started ahead: what process.env is told later its workers and Bun.spawn do not get (seen with bun 1.4.5), and by the
 * time that it loads a module ahead it has already looked for tsconfig.json, bunfig.toml, .env and node_modules.
 */
export const bun: Language = {
  name: "bun",
  hint: "npm install -g bun",
  extensions: [".ts", ".tsx", ".jsx", ".mts", ".cts", ".js", ".mjs", ".cjs"],
  defaultAliases: ["typescript"],
  trial: () => ({ entry: "trial.ts", source: VERSION_SOURCE("Bun.version as string") }),
  candidates: (places) =>
    candidates(places, "bun", [".local/share/mise/installs/bun", ".asdf/installs/bun"]),
  describe: ({ binary, name }) => ({
    name,
    binary,
    mounts: binaryMount(binary),
    memoryLimit: "data",
    memoryReserveBytes: BUN_RESERVE_BYTES,
    install: bunStep(binary, BUN_RESERVE_BYTES),
    // A module that is not there is an error. Bun by itself would fetch one of that name, whoever has it (bun.com/docs/runtime/auto-install).
    argv: ({ entry, args }) => [binary, "--no-install", asPath(entry), ...args],
    // Its transpiler's cache lies under HOME, which is where artifacts come from.
    env: (jobEnv) => ({ BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0", ...jobEnv }),
  }),
};

export const deno: Language = {
  name: "deno",
  hint: "unzip a release of https://github.com/denoland/deno into /usr/local/bin",
  extensions: [".ts", ".tsx", ".jsx", ".mts", ".js", ".mjs"],
  defaultAliases: [],
  trial: () => ({ entry: "trial.ts", source: VERSION_SOURCE("Deno.version.deno as string") }),
  candidates: (places) =>
    candidates(places, "deno", [".local/share/mise/installs/deno", ".asdf/installs/deno"]),
  describe: ({ binary, name }) => ({
    name,
    binary,
    mounts: binaryMount(binary),
    memoryLimit: "data",
    memoryReserveBytes: DENO_RESERVE_BYTES,
    // The sandbox is the wall; a prompt for a permission would wait for nobody.
    argv: ({ entry, args }) =>
      [[binary, "run", "--allow-all", "--no-prompt"], asPath(entry), args].flat(),
    env: (jobEnv) => ({ DENO_DIR: "/tmp/.deno", DENO_NO_UPDATE_CHECK: "1", ...jobEnv }),
  }),
};

/** `managed`: directories of version managers, below the home directory, with one installation each. */
async function candidates(
  places: HostPlaces,
  name: string,
  managed: readonly string[],
): Promise<readonly Candidate[]> {
  const home = places.homeDirectory;
  const bins = await Promise.all(managed.map((each) => versionBins(join(home, each))));
  const paths = [...places.binDirectories, join(home, `.${name}/bin`), ...bins.flat()].map((bin) =>
    join(bin, name),
  );
  // npm's package of bun has its binary named bun.exe on every system.
  const realName = new RegExp(`^${name}(?:js)?(?:\\.exe)?$`);
  // The service may itself run on the only bun there is, under a path that is in no list.
  const all = await Promise.all(
    [...paths, process.execPath].map((path) => realBinary(path, realName)),
  );
  const binaries = [...new Set(all.filter((binary) => binary !== null))];
  return binaries.map((binary) => ({ binary, name, isDefault: true }));
}
