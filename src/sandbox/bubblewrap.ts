import { chownSync, existsSync } from "node:fs";
import { AppError, messageOf } from "../errors.ts";
import { launchBubblewrap } from "./bubblewrap-launch.ts";
import type { GuestCgroups } from "./cgroup/cgroup.ts";
import { createCgroupMeter } from "./cgroup-meter.ts";
import { explainRefusal, readHostFacts } from "./diagnosis.ts";
import { createGuestRoot, type GuestRoot } from "./guest-root.ts";
import { createUidLender, guestUids, uidProblem, type UidRange } from "./guest-uids.ts";
import { killOrphans } from "./orphans.ts";
import {
  type GuestRequest,
  type GuestSetup,
  type PreparableSandbox,
  type SandboxFeature,
  type SandboxStatus,
  startCold,
} from "./sandbox.ts";
import { seccompFilter } from "./seccomp.ts";
import { runSelfTest } from "./self-test.ts";
import { prepareSupervised } from "./supervised-guest.ts";
import { createTreeMeter } from "./tree-meter.ts";

/*
 * Guests in namespaces made by bubblewrap, which is started as an unprivileged user: namespaces alone are no wall for
 * root, which read the host's /etc/shadow from inside. What bubblewrap is told is in bubblewrap-arguments.ts, with the
 * reasons.
 */

export interface BubblewrapOptions {
  /** The uids of guests when this service runs as root. */
  readonly uids?: UidRange | undefined;
  /** A directory of this process alone, where guests' uids can reach: it gets their /etc and supervisor. */
  readonly runtimeDir: string;
  /** Where bwrap is; absent: the usual places. */
  readonly bwrapPath?: string;
  /** Where guests get cgroups; absent: `cgroupProblem` says why there are none. */
  readonly cgroups?: GuestCgroups | undefined;
  readonly cgroupProblem?: string;
  /** CPU time of one guest, in percent of one core; 0 or absent: no cap. */
  readonly cpuPercent?: number;
  /** What must hold for any guest to be started. */
  readonly required?: readonly SandboxFeature[];
  /** The machine, as process.arch says it, whose system calls are filtered; absent: this one. */
  readonly arch?: string;
}

const USUAL_PLACES = [
  "/usr/bin/bwrap",
  "/usr/local/bin/bwrap",
  "/bin/bwrap",
  "/run/current-system/sw/bin/bwrap",
];
const PERL = "/usr/bin/perl";
const CGROUP_REMEDY =
  "Run the service as root, or let systemd hand it a cgroup (Delegate=yes in its unit, or: systemd-run --user --scope -p Delegate=yes bun run src/main.ts); in a container, give it a writable one (docker/README.md).";
/** What was found on the host is taken to be there for so long; a start without it fails, and is tried again. */
const PARTS_VALID_MS = 1_000;
const BASE_ENV = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/work",
  TMPDIR: "/tmp",
  LANG: "C.UTF-8",
};

/** Where forwarder.pl listens. */
const PROXY_URL = "http://127.0.0.1:3128";
const NO_PROXY = "localhost,127.0.0.1,::1";
/** What curl, pip, git, Go and many others read; NODE_USE_ENV_PROXY is for node 22.21 and 24 (nodejs.org/api/cli.html). */
const PROXY_ENV = {
  http_proxy: PROXY_URL,
  https_proxy: PROXY_URL,
  all_proxy: PROXY_URL,
  HTTP_PROXY: PROXY_URL,
  HTTPS_PROXY: PROXY_URL,
  ALL_PROXY: PROXY_URL,
  no_proxy: NO_PROXY,
  NO_PROXY,
  NODE_USE_ENV_PROXY: "1",
};

/** Never throws: what is missing is in selfTest's answer and in the error of start(). */
export function createBubblewrap(options: BubblewrapOptions): PreparableSandbox {
  const { uids, cgroups, cpuPercent = 0 } = options;
  const arch = options.arch ?? process.arch;
  const filter = seccompFilter(arch, { isMemoryCounted: cgroups !== undefined });
  let root: GuestRoot | undefined;
  const findParts = () => {
    const bwrap = options.bwrapPath ?? USUAL_PLACES.find(existsSync);
    const problems = missingParts(bwrap, options);
    if (filter === null)
      problems.push(`There is no system call filter for this machine (${arch}): no guest runs.`);
    if (bwrap === undefined || filter === null || problems.length > 0)
      throw new AppError("sandbox_error", problems.join(" "));
    if (root === undefined) {
      root = createGuestRoot(options.runtimeDir);
      killOrphans(guestUids(uids));
    }
    return { bwrap, perl: PERL, root, filter };
  };
  let found: { readonly parts: ReturnType<typeof findParts>; readonly atMs: number } | undefined;
  const requirements = () => {
    const nowMs = performance.now();
    if (found === undefined || nowMs - found.atMs > PARTS_VALID_MS)
      found = { parts: findParts(), atMs: nowMs };
    return found.parts;
  };
  const lender = createUidLender(uids);
  const prepare = async (setup: GuestSetup) => {
    const parts = requirements();
    const { uid, giveBack } = await lender.lend();
    try {
      const { proxySocket } = setup;
      if (uid !== undefined && proxySocket !== undefined) chownSync(proxySocket, uid, uid);
      return await prepareSupervised({
        baseEnv: proxySocket === undefined ? BASE_ENV : { ...BASE_ENV, ...PROXY_ENV },
        uid,
        makeMeter: () =>
          cgroups === undefined ? createTreeMeter() : createCgroupMeter(cgroups, { cpuPercent }),
        launch: (fds) => launchBubblewrap({ ...parts, setup, fds, uid }),
        onGone: giveBack,
      });
    } catch (error) {
      giveBack();
      throw error;
    }
  };
  const start = async (request: GuestRequest) => startCold(prepare, request);
  return {
    prepare,
    start,
    async selfTest() {
      const plan = { start, perl: PERL, canaryDir: options.runtimeDir };
      const problems = await runSelfTest(plan).catch((error: unknown) => [
        explainRefusal(messageOf(error), readHostFacts()),
      ]);
      return bubblewrapStatus(options, filter !== null, problems);
    },
  };
}

function bubblewrapStatus(
  { cgroups, cgroupProblem }: BubblewrapOptions,
  seccomp: boolean,
  problems: readonly string[],
): SandboxStatus {
  const gap = `${withRemedy(cgroupProblem)} Until then memory, CPU time and processes of a job are held by limits of each process and by looking at all of them ten times a second; running out of memory is told only where that look saw it.`;
  return {
    driver: "bwrap",
    ready: problems.length === 0,
    problems,
    gaps: cgroups === undefined ? [gap] : [],
    cgroup: cgroups?.version ?? null,
    seccomp,
  };
}

function withRemedy(cgroupProblem = "No cgroup was looked for."): string {
  return `${cgroupProblem} ${CGROUP_REMEDY}`;
}

function missingParts(bwrap: string | undefined, options: BubblewrapOptions): string[] {
  const problems: string[] = [];
  if (bwrap === undefined || !existsSync(bwrap))
    problems.push("bubblewrap is not installed; install it, e.g. apt-get install bubblewrap.");
  if (!existsSync(PERL))
    problems.push(
      `${PERL} is not installed, which guests are supervised with; install it, e.g. apt-get install perl-base.`,
    );
  const uids = uidProblem(options.uids);
  if (uids !== null) problems.push(uids);
  if (options.required?.includes("cgroup") === true && options.cgroups === undefined)
    problems.push(`SANDBOX_REQUIRE demands a cgroup. ${withRemedy(options.cgroupProblem)}`);
  if ((options.cpuPercent ?? 0) > 0 && options.cgroups === undefined)
    problems.push(`JOB_CPU_PERCENT needs a cgroup. ${withRemedy(options.cgroupProblem)}`);
  return problems;
}
