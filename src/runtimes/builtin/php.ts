import { readdirSync } from "node:fs";
import { basename } from "node:path";
import { asGiven, binaryMount, findPrograms } from "./find-binary.ts";
import type { Language } from "./language.ts";

/**
 * No file of settings is read, which lie in /etc: errors go to stderr, once, and the job's own limit is the one of memory
 * (php.net/manual/en/ini.list.php).
 */
const SETTINGS = ["display_errors=stderr", "log_errors=0", "memory_limit=-1"];

export const php: Language = {
  name: "php",
  hint: "apt-get install php-cli",
  extensions: [".php"],
  defaultAliases: [],
  trial: () => ({ entry: "trial.php", source: '<?php echo PHP_VERSION, "\\n";\n' }),
  candidates: ({ binDirectories: directories }) =>
    findPrograms({ name: "php", programs: ["php"], directories, realName: /^php[\d.]*$/ }),
  describe({ binary, name }) {
    const settings = [...SETTINGS, ...extensionsOf(binary).map((each) => `extension=${each}`)];
    const options = ["-n", ...settings.flatMap((setting) => ["-d", setting])];
    return {
      name,
      binary,
      mounts: binaryMount(binary),
      memoryLimit: "address_space",
      argv: ({ entry, args }) => [binary, ...options, asGiven(entry), ...args],
      env: (jobEnv) => jobEnv,
    };
  },
};

/** Those that Debian's settings load, in the order of their numbers. opcache, which is no extension, caches for later requests. */
function extensionsOf(binary: string): readonly string[] {
  const version = /^php([\d.]+)$/.exec(basename(binary))?.[1];
  if (version === undefined) return [];
  return namesIn(`/etc/php/${version}/cli/conf.d`)
    .toSorted()
    .flatMap((file) => /^\d+-(\w+)\.ini$/.exec(file)?.[1] ?? [])
    .filter((extension) => extension !== "opcache");
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
