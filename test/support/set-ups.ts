import { chmodSync, chownSync, cpSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { ROOT, type RunningService, type StartAs, startService } from "./service.ts";

/** A way to install the service that its wall must hold in. */
export interface SetUp {
  readonly name: string;
  /** Whether its jobs are in cgroups. */
  readonly hasCgroup: boolean;
  start(env: Readonly<Record<string, string>>): Promise<Installed>;
}

export interface Installed {
  readonly service: RunningService;
  /** First and last uid that its guests have; on this host nobody else has them, but where it is the test's own. */
  readonly guestUids: readonly [first: number, last: number];
  /** Removes what start() made. The service is to be stopped before. */
  remove(): Promise<void>;
}

/** Ranges of their own, so that what a guest leaves behind cannot be mistaken for anybody else's. */
export const GUEST_UIDS = [41_001, 41_009] as const;
const ORDINARY_UID = 61_234;

export const isRoot = process.getuid?.() === 0;

const asRoot: SetUp = {
  name: "root with a range of uids and a cgroup",
  hasCgroup: true,
  async start(env) {
    const service = await startService({ env: { ...env, SANDBOX_UIDS: GUEST_UIDS.join("-") } });
    return {
      service,
      guestUids: GUEST_UIDS,
      remove: () => rm(dirname(service.dataDir), { recursive: true }),
    };
  },
};

const asOrdinaryUser: SetUp = {
  name: "an ordinary user without a cgroup",
  hasCgroup: false,
  start: (env) => startUnprivileged(env, () => []),
};

/** As `docker run --cap-drop ALL --security-opt no-new-privileges --security-opt systempaths=unconfined` has it. */
const inContainer: SetUp = {
  name: "a container without capabilities",
  hasCgroup: false,
  start: (env) =>
    startUnprivileged(env, (home, root) =>
      [
        ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-uts", "--unshare-ipc"],
        ["--cap-drop", "ALL", "--die-with-parent"],
        ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"],
        ...["/tmp", "/run", "/dev/shm"].map((place) => ["--tmpfs", place]),
        ["--ro-bind", root, root, "--bind", home, home, "--"],
      ].flat(),
    ),
};

/** The set-ups that this test's user can make; the first needs root, and a CI run must be able to. */
export const SET_UPS: readonly SetUp[] = [...(isRoot ? [asRoot] : []), asOrdinaryUser, inContainer];

async function startUnprivileged(
  env: Readonly<Record<string, string>>,
  container: (home: string, root: string) => readonly string[],
): Promise<Installed> {
  const home = await mkdtemp(join(tmpdir(), "job-runner-ordinary-"));
  const uid = isRoot ? ORDINARY_UID : (process.getuid?.() ?? -1);
  const { root, bun } = reachableProgram(home, uid);
  chownSync(home, uid, uid);
  const startAs: StartAs = { prefix: [...becoming(uid), ...container(home, root)], root, bun };
  const service = await startService({
    env: { ...env, HOME: home },
    dataDir: join(home, "jobs"),
    startAs,
  });
  return { service, guestUids: [uid, uid], remove: () => rm(home, { recursive: true }) };
}

function becoming(uid: number): readonly string[] {
  const drop = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"];
  return isRoot
    ? ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", ...drop]
    : ["setpriv", "--no-new-privs"];
}

/** This repository and this bun where that user can read them, else copies below `home`. */
function reachableProgram(home: string, uid: number): { root: string; bun: string } {
  const bun = process.execPath;
  if (isReadableBy(uid, join(ROOT, "package.json"), bun)) return { root: ROOT, bun };
  const root = join(home, "program");
  for (const part of ["package.json", "src", ...productionPackages().map(folderOf)])
    cpSync(join(ROOT, part), join(root, part), { recursive: true });
  const copy = join(root, "bun");
  cpSync(bun, copy);
  chmodSync(copy, 0o755);
  return { root, bun: copy };
}

function isReadableBy(uid: number, ...paths: readonly string[]): boolean {
  const tests = paths.flatMap((path) => ["-a", "-r", path]).slice(1);
  return Bun.spawnSync([...becoming(uid), "test", ...tests]).exitCode === 0;
}

const folderOf = (name: string) => join("node_modules", name);

/** The packages that src/ needs, with those that they need. */
function productionPackages(): readonly string[] {
  const found = new Set<string>();
  const visit = (folder: string) => {
    const { dependencies = {} } = JSON.parse(
      readFileSync(join(ROOT, folder, "package.json"), "utf8"),
    ) as { dependencies?: Record<string, string> };
    for (const name of Object.keys(dependencies)) {
      if (found.has(name)) continue;
      found.add(name);
      visit(folderOf(name));
    }
  };
  visit(".");
  return [...found];
}
