import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";

import { findCgroups, readCgroupView } from "../src/sandbox/cgroup/find-cgroups.ts";
import { commit } from "../test/faults/commit.ts";
import type { Bench } from "./bench.ts";

/** What the figures depend on, a line each. To be read before anything is measured: it tells the load that was there. */
export function conditionsOf({ runtimes, isQuick }: Bench): readonly string[] {
  const [cpu] = cpus();
  const { hierarchy } = findCgroups(readCgroupView());
  const interpreters = runtimes.list().map(({ version, binary }) => `${binary} ${version}`);
  return [
    `${new Date().toISOString()}, commit ${commit()}${isQuick ? ", --quick: figures of a few rounds, which say nothing" : ""}`,
    `${cpus().length} x ${cpu?.model.trim()}, ${Math.round(totalmem() / 1024 ** 3)} GiB, load average at the start ${loadavg()
      .map((load) => load.toFixed(2))
      .join(" ")}`,
    `Linux ${release()}, ${distribution()}, cgroup ${hierarchy === null ? "none" : hierarchy.version}`,
    `Bun ${Bun.version}, ${versionOf("redis-server")}, appendfsync everysec, ${versionOf("/usr/bin/bwrap")}`,
    interpreters.join(", "),
  ];
}

function distribution(): string {
  return /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "";
}

/** The first line that a program prints of itself. */
function versionOf(program: string): string {
  try {
    const text = execFileSync(program, ["--version"], { encoding: "utf8" });
    return text.split(/\n| sha=/, 1)[0] ?? "";
  } catch {
    return `no ${program}`;
  }
}
