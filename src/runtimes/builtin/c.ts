import { basename, dirname, extname } from "node:path";
import type { LanguageName } from "../../jobs/languages.ts";
import type { Sources } from "../runtime.ts";
import { COMPILER_NEEDS, programPath, runMade } from "./compiler.ts";
import { asPath, binaryMount, findPrograms } from "./find-binary.ts";
import type { Language } from "./language.ts";

/**
 * Linked into each program. Into a pipe, C writes what was printed once there are 4 KiB of it, and where a program is killed
 * never: as on a terminal, a line is to be seen when it is printed.
 */
const LINE_BUFFERING = `#include <stdio.h>
static void __attribute__((constructor)) buffer_by_line(void) { setvbuf(stdout, NULL, _IOLBF, BUFSIZ); }
`;

/** __VERSION__ has the name of the compiler in it with clang, and not with gcc. */
const VERSION_SOURCE = `#include <stdio.h>
int main(void) {
#ifdef __clang__
  puts("clang " __clang_version__);
#else
  puts("gcc " __VERSION__);
#endif
}
`;

export const cLanguage: Language = cFamily({
  name: "c",
  hint: "apt-get install gcc libc6-dev",
  aliases: [],
  extensions: [".c"],
  programs: ["gcc", "clang", "cc"],
  // Not ccache, which is put in front of PATH under this name.
  realName: /^(?:[\w-]+-)?(?:gcc|clang)(?:-[\d.]+)?$/,
  options: ["-std=gnu17"],
});

export const cPlusPlus: Language = cFamily({
  name: "c++",
  hint: "apt-get install g++",
  aliases: ["cpp"],
  extensions: [".cpp", ".cc", ".cxx", ".c++"],
  programs: ["g++", "clang++", "c++"],
  realName: /^(?:[\w-]+-)?(?:g\+\+|clang(?:\+\+)?)(?:-[\d.]+)?$/,
  options: ["-std=gnu++20"],
});

function cFamily(family: {
  readonly name: LanguageName;
  readonly hint: string;
  readonly aliases: readonly string[];
  readonly extensions: readonly string[];
  readonly programs: readonly string[];
  readonly realName: RegExp;
  readonly options: readonly string[];
}): Language {
  const { name, hint, aliases, extensions, programs, realName } = family;
  const [extension = ""] = extensions;
  const helper = `line-buffering${extension}`;
  return {
    name,
    hint,
    extensions,
    defaultAliases: aliases,
    trial: () => ({ entry: `trial${extension}`, source: VERSION_SOURCE }),
    candidates: ({ binDirectories: directories }) =>
      findPrograms({ name, programs, directories, realName }),
    describe({ binary }) {
      const options = [...driverOptions(name, binary), ...family.options];
      return {
        name,
        binary,
        mounts: binaryMount(binary),
        memoryLimit: "address_space",
        argv: runMade,
        env: (jobEnv) => jobEnv,
        compile: {
          argv: (sources) =>
            [
              [binary, ...options, "-O2", "-pthread", "-I.", "-o", programPath(sources)],
              // Whatever its name says: a .C is C++ to gcc, and a file without an ending is the linker's.
              ["-x", name],
              unitsOf(sources, extensions).map(asPath),
              [asPath(`${sources.folder}/${helper}`), "-lm"],
            ].flat(),
          env: {},
          memoryLimit: "address_space",
          needs: COMPILER_NEEDS,
          helpers: { [helper]: LINE_BUFFERING },
          makesProgram: true,
        },
      };
    },
  };
}

/** clang++ is a link to clang, which by its real name compiles C. */
function driverOptions(name: string, binary: string): readonly string[] {
  return name === "c++" && /clang(?!\+)/.test(basename(binary)) ? ["--driver-mode=g++"] : [];
}

/** The entry, and whatever else of its language is in its folder or below. */
function unitsOf({ entry, files }: Sources, extensions: readonly string[]): readonly string[] {
  const folder = dirname(entry);
  const others = files.filter(
    (path) =>
      path !== entry &&
      extensions.includes(extname(path).toLowerCase()) &&
      (folder === "." || path.startsWith(`${folder}/`)),
  );
  // In an order of their own, so that the same files are the same compile.
  return [entry, ...others.toSorted()];
}
