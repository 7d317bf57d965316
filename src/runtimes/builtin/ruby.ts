import { join } from "node:path";
import { asGiven, findPrograms, installationMounts, versionBins } from "./find-binary.ts";
import type { Language } from "./language.ts";
import { supportPath } from "./support.ts";

export const ruby: Language = {
  name: "ruby",
  hint: "apt-get install ruby",
  extensions: [".rb"],
  defaultAliases: [],
  trial: () => ({ entry: "trial.rb", source: "require 'json'\nputs RUBY_VERSION\n" }),
  async candidates({ binDirectories, homeDirectory: home }) {
    const managed = await Promise.all(
      [".rbenv/versions", ".local/share/mise/installs/ruby", ".asdf/installs/ruby"]
        .map((folder) => join(home, folder))
        .map(versionBins),
    );
    return await findPrograms({
      name: "ruby",
      programs: ["ruby"],
      directories: [...binDirectories, ...managed.flat()],
      realName: /^ruby[\d.]*$/,
    });
  },
  describe({ binary, name }, supportDirectory) {
    const mounts = installationMounts(binary, /^(?:ruby$|libruby[\w.-]*\.so[\d.]*$)/);
    if (mounts === null) return null;
    const support = supportPath(supportDirectory, "ruby");
    return {
      name,
      binary,
      mounts: [...mounts, { hostPath: support }],
      memoryLimit: "address_space",
      argv: ({ entry, args }) =>
        [binary, "-r", join(support, "print_at_once.rb"), asGiven(entry), args].flat(),
      env: (jobEnv) => jobEnv,
    };
  },
};
