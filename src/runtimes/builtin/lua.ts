import { asGiven, binaryMount, findPrograms } from "./find-binary.ts";
import type { Language } from "./language.ts";

/** Runs before the program, so that a line that is printed is a line that is seen. */
const BUFFER_BY_LINE = 'io.stdout:setvbuf("line")';

export const lua: Language = {
  name: "lua",
  hint: "apt-get install lua5.4",
  extensions: [".lua"],
  defaultAliases: [],
  trial: () => ({ entry: "trial.lua", source: 'print((_VERSION:gsub("Lua ", "")))\n' }),
  candidates: ({ binDirectories: directories }) =>
    findPrograms({
      name: "lua",
      programs: ["lua", "lua5.4", "lua5.3", "lua5.2", "lua5.1", "luajit"],
      directories,
      // Not luac, which compiles.
      realName: /^lua(?:jit)?-?(?:\d[\w.-]*)?$/,
    }),
  describe: ({ binary, name }) => ({
    name,
    binary,
    mounts: binaryMount(binary),
    memoryLimit: "address_space",
    argv: ({ entry, args }) => [binary, "-e", BUFFER_BY_LINE, asGiven(entry), ...args],
    env: (jobEnv) => jobEnv,
  }),
};
