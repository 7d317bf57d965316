import { asGiven, binaryMount, findPrograms } from "./find-binary.ts";
import type { Language } from "./language.ts";

/** Runs before the program, in which it takes no line: what is printed is seen when it is printed (perlrun, -M; perlvar, $|). */
const PRINT_AT_ONCE = "-M5;$|=1";

/** Of the system alone: one of perlbrew's has its library wherever it was built for. */
export const perl: Language = {
  name: "perl",
  hint: "apt-get install perl",
  extensions: [".pl"],
  defaultAliases: [],
  trial: () => ({ entry: "trial.pl", source: 'use List::Util;\nprintf "%vd\\n", $^V;\n' }),
  candidates: ({ binDirectories: directories }) =>
    findPrograms({ name: "perl", programs: ["perl"], directories, realName: /^perl[\d.]*$/ }),
  describe: ({ binary, name }) => ({
    name,
    binary,
    mounts: binaryMount(binary),
    memoryLimit: "address_space",
    argv: ({ entry, args }) => [binary, PRINT_AT_ONCE, asGiven(entry), ...args],
    env: (jobEnv) => jobEnv,
  }),
};
