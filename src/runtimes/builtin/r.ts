import { asPath, binaryMount, findPrograms } from "./find-binary.ts";
import type { Language } from "./language.ts";

export const r: Language = {
  name: "r",
  hint: "apt-get install r-base-core",
  extensions: [".r"],
  defaultAliases: ["rscript"],
  trial: () => ({
    entry: "trial.R",
    source: 'cat(paste(R.version$major, R.version$minor, sep = "."), "\\n", sep = "")\n',
  }),
  candidates: ({ binDirectories: directories }) =>
    findPrograms({ name: "r", programs: ["Rscript"], directories, realName: /^Rscript$/ }),
  describe: ({ binary, name }) => ({
    name,
    binary,
    mounts: binaryMount(binary),
    memoryLimit: "address_space",
    argv: ({ entry, args }) => [binary, asPath(entry), ...args],
    env: (jobEnv) => jobEnv,
  }),
};
