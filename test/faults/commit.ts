import { spawnSync } from "node:child_process";

import { ROOT } from "../support/service.ts";

/** What is run: a figure without its sources proves nothing. `+` where something differs from the commit. */
export function commit(): string {
  const { stdout, status } = spawnSync("git", ["describe", "--always", "--dirty=+"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  return status === 0 ? stdout.trim() : "no commit";
}
