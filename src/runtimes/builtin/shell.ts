import { realpath } from "node:fs/promises";
import { join } from "node:path";
import type { LanguageName } from "../../jobs/languages.ts";
import { asGiven, binaryMount, realBinary } from "./find-binary.ts";
import type { Language } from "./language.ts";

export const bash: Language = shell({
  name: "bash",
  hint: "apt-get install bash",
  realName: /^bash$/,
  extensions: [".sh", ".bash"],
  version: 'echo "${BASH_VERSION%%(*}"\n',
});

/** Whatever the system has as /bin/sh. It cannot tell a version, so that its real name stands for it, e.g. `dash`. */
export const sh: Language = shell({
  name: "sh",
  hint: "apt-get install dash",
  realName: /^(?:dash|ash|busybox|bash|sh|ksh\w*|mksh)$/,
  extensions: [".sh"],
  version: 'basename "$(readlink -f /bin/sh)"\n',
});

function shell(options: {
  readonly name: LanguageName;
  readonly hint: string;
  readonly realName: RegExp;
  readonly extensions: readonly string[];
  readonly version: string;
}): Language {
  const { name, hint, extensions } = options;
  return {
    name,
    hint,
    extensions,
    defaultAliases: [],
    trial: () => ({ entry: "trial.sh", source: options.version }),
    async candidates({ binDirectories }) {
      const found = await Promise.all(
        binDirectories.map(async (bin) => {
          const directory = await realpath(bin).catch(() => bin);
          const path = join(directory, name);
          return (await realBinary(path, options.realName)) ? path : null;
        }),
      );
      // Under its own name: bash and busybox are what argv[0] says.
      const binaries = [...new Set(found.filter((path) => path !== null))];
      return binaries.map((binary) => ({ binary, name, isDefault: true }));
    },
    describe: ({ binary }) => ({
      name,
      binary,
      mounts: binaryMount(binary),
      memoryLimit: "address_space",
      argv: ({ entry, args }) => [binary, asGiven(entry), ...args],
      env: (jobEnv) => jobEnv,
    }),
  };
}
