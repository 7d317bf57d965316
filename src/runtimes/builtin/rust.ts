import { join } from "node:path";
import { COMPILER_NEEDS, programPath, runMade } from "./compiler.ts";
import { asPath, findPrograms, installationMounts, versionBins } from "./find-binary.ts";
import type { Language } from "./language.ts";

/** Of a toolchain's libraries, those of the compiler and of the programs that it makes. */
const LIBRARY = /^(?:rustlib$|lib(?:rustc|LLVM|std|test)[\w.+-]*$)/;

/**
 * Single programs with their modules. cargo is not run: without a network it could get no crate, and a program without any
 * needs none of it.
 */
export const rust: Language = {
  name: "rust",
  hint: "apt-get install rustc, or gcc and rustup in a folder that every user can read (not below /root)",
  extensions: [".rs"],
  defaultAliases: [],
  trial: () => ({
    entry: "trial.rs",
    source: "fn main() {}\n",
    // A program does not know what compiled it.
    argv: (binary) => [
      "/bin/sh",
      "-c",
      '"$1" --crate-name=main -o /tmp/trial ./trial.rs && /tmp/trial && "$1" --version | cut -d " " -f 2',
      "sh",
      binary,
    ],
  }),
  async candidates({ binDirectories, homeDirectory: home }) {
    // Before those of PATH, which are rustup itself under other names.
    const toolchains = await versionBins(join(home, ".rustup/toolchains"));
    return await findPrograms({
      name: "rust",
      programs: ["rustc"],
      directories: [...binDirectories, ...toolchains, "/opt/rust/bin"],
      realName: /^rustc$/,
    });
  },
  describe({ binary, name }) {
    const mounts = installationMounts(binary, LIBRARY);
    if (mounts === null) return null;
    return {
      name,
      binary,
      mounts,
      memoryLimit: "address_space",
      argv: runMade,
      env: (jobEnv) => jobEnv,
      compile: {
        // Modules are found from the entry on. A crate's name may have no dash, which a file's may.
        argv: (sources) =>
          [
            [binary, "--edition=2021", "--crate-name=main", "-O", "-Cstrip=debuginfo"],
            ["-o", programPath(sources), asPath(sources.entry)],
          ].flat(),
        env: {},
        // Its own libraries alone are 350 MB of address space.
        memoryLimit: "data",
        needs: COMPILER_NEEDS,
        makesProgram: true,
      },
    };
  },
};
