import { mkdirSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AppError, messageOf } from "../errors.ts";
import { MIB } from "../jobs/limits.ts";
import { spawnProcess, type ChildProcess } from "../platform/spawn.ts";
import { beforeDeadline, LATE } from "./deadline.ts";
import type { LaunchedSupervisor } from "./running-guest.ts";
import {
  type GuestRequest,
  type GuestSetup,
  type PreparableSandbox,
  type Sandbox,
  startCold,
} from "./sandbox.ts";
import { type GuestWriteFds, prepareSupervised } from "./supervised-guest.ts";
import { createTreeMeter } from "./tree-meter.ts";

/*
 * No wall at all: the supervisor runs a program as this service's own user, with all its rights, in a temporary
 * directory. For machines without namespaces and programs that are trusted; configuration allows it only when asked
 * twice. rlimits hold; disk and network do not.
 */

const PERL = "/usr/bin/perl";
const SUPERVISOR = fileURLToPath(new URL("./supervisor.pl", import.meta.url));
const BASE_ENV = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LANG: "C.UTF-8",
};
/** The supervisor needs some ms to kill and reap what it started; killed itself, it would leave all that behind. */
const SUPERVISOR_GRACE_MS = 2_000;
const WARNING =
  "Jobs run without isolation (SANDBOX=none): each can do what this service's user can.";

/** `runtimeDir` gets a directory per guest, removed by destroy(). */
export function createUnsandboxed(options: { readonly runtimeDir: string }): PreparableSandbox {
  const prepare = async ({ proxySocket }: GuestSetup) => {
    if (proxySocket !== undefined)
      throw new AppError("sandbox_error", "Without a sandbox no network policy can be enforced");
    mkdirSync(options.runtimeDir, { recursive: true });
    const home = mkdtempSync(join(options.runtimeDir, "unsandboxed-"));
    const [work, tmp] = [join(home, "work"), join(home, "tmp")];
    for (const directory of [work, tmp]) mkdirSync(directory);
    return prepareSupervised({
      baseEnv: { ...BASE_ENV, HOME: work, TMPDIR: tmp },
      makeMeter: createTreeMeter,
      launch: (fds) => launch(home, fds),
    });
  };
  const start = async (request: GuestRequest) => startCold(prepare, request);
  return {
    prepare,
    start,
    async selfTest() {
      const failure = await tryProgram(start).catch(messageOf);
      return {
        driver: "none",
        ready: failure === "",
        problems: failure === "" ? [] : [failure],
        gaps: [WARNING],
        cgroup: null,
        seccomp: false,
      };
    },
  };
}

function launch(home: string, fds: GuestWriteFds): LaunchedSupervisor {
  const child = spawnProcess({
    argv: [
      [PERL, SUPERVISOR, process.arch, "3", "4", "5"],
      [join(home, "work"), join(home, "tmp")],
    ].flat(),
    env: {},
    cwd: home,
    extraFds: [fds.result, fds.stdout, fds.stderr],
  });
  return {
    child,
    supervisorPid: Promise.resolve(child.pid),
    async takeDown() {
      await endOrKill(child);
      // A recursive fs.rm takes half a minute for a tree that a job made 3,000 levels deep.
      const remover = spawnProcess({
        argv: ["/bin/rm", "-rf", "--", home],
        env: {},
        cwd: "/",
        extraFds: [],
      });
      await Promise.all([new Response(remover.stderr).text(), remover.exited]);
    },
  };
}

async function endOrKill(child: ChildProcess): Promise<void> {
  if ((await beforeDeadline(child.exited, SUPERVISOR_GRACE_MS)) !== LATE) return;
  child.kill();
  await child.exited;
}

/** "" when a program ran, else what went wrong. */
async function tryProgram(start: Sandbox["start"]): Promise<string> {
  const guest = await start({
    argv: ["/bin/sh", "-c", "exit 0"],
    env: {},
    stdin: new Uint8Array(0),
    inputs: [],
    mounts: [],
    limits: {
      memoryBytes: 256 * MIB,
      cpuSec: 10,
      processes: 4096,
      diskBytes: MIB,
      outputBytes: MIB,
    },
    memoryLimit: "none",
    slot: 0,
  });
  const exit = await guest.exited;
  await guest.destroy();
  return exit?.exitCode === 0 ? "" : `A trial program failed: ${guest.failure()}`;
}
