import { closeSync, existsSync, readFileSync } from "node:fs";
import { AppError, messageOf } from "../errors.ts";
import { openFilledPipe, openPipe, readPipe } from "../platform/pipe.ts";
import { spawnProcess, type ChildProcess } from "../platform/spawn.ts";
import { encodeBubblewrapArguments } from "./bubblewrap-arguments.ts";
import { beforeDeadline, LATE } from "./deadline.ts";
import { createGuestRoot, SUPERVISOR_IN_GUEST, type GuestRoot } from "./guest-root.ts";
import { type GuestIds, killOrphans } from "./orphans.ts";
import type { GuestRequest, Sandbox } from "./sandbox.ts";
import { runSelfTest } from "./self-test.ts";
import {
  startSupervised,
  type GuestWriteFds,
  type LaunchedSupervisor,
} from "./supervised-guest.ts";

/*
 * Guests in namespaces made by bubblewrap, which is started as an unprivileged user: namespaces alone are no wall for
 * root, which read the host's /etc/shadow from inside. The processes, from outside in: bwrap (waits), the supervisor
 * (PID 1 of the guest), the program. What bubblewrap is told is in bubblewrap-arguments.ts, with the reasons.
 */

export interface BubblewrapOptions {
  /** First of the uids that guests get when this service runs as root; slot n gets uidBase + n, as uid and gid. */
  readonly uidBase?: number;
  /** A directory of this process alone, where guests' uids can reach: it gets their /etc and supervisor. */
  readonly runtimeDir: string;
  /** Where bwrap is; absent: the usual places. */
  readonly bwrapPath?: string;
}

const USUAL_PLACES = [
  "/usr/bin/bwrap",
  "/usr/local/bin/bwrap",
  "/bin/bwrap",
  "/run/current-system/sw/bin/bwrap",
];
const PERL = "/usr/bin/perl";
const BASE_ENV = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/work",
  TMPDIR: "/tmp",
  LANG: "C.UTF-8",
};
/** Slots share the range of uids; more than this is a mistake. */
const MAX_SLOT = 9_999;
/** Killing only the outer bwrap in its first 5 ms leaves the inner process behind in one of six tries. */
const INNER_KILL_MS = 400;
/** After the outer one is killed as well, the kernel still takes the namespace apart. */
const REMAINS_POLL_MS = 10;
const REMAINS_DEADLINE_MS = 2_000;

/** Never throws: what is missing is in selfTest's answer and in the error of start(). */
export function createBubblewrap(options: BubblewrapOptions): Sandbox {
  let root: GuestRoot | undefined;
  const requirements = () => {
    const bwrap = options.bwrapPath ?? USUAL_PLACES.find(existsSync);
    const problems = missingParts(bwrap, options);
    if (bwrap === undefined || problems.length > 0)
      throw new AppError("sandbox_error", problems.join(" "));
    if (root === undefined) {
      root = createGuestRoot(options.runtimeDir);
      killOrphans(guestIds(options.uidBase));
    }
    return { bwrap, root };
  };
  const start = async (request: GuestRequest) => {
    const parts = requirements();
    const uid = guestUid(options.uidBase, request.slot);
    return startSupervised({
      request,
      env: { ...BASE_ENV, ...request.env },
      ...(uid === undefined ? {} : { uid }),
      launch: (fds) => launch({ ...parts, request, fds, uid }),
    });
  };
  return {
    start,
    async selfTest() {
      const problems = await runSelfTest({
        start,
        perl: PERL,
        canaryDir: options.runtimeDir,
      }).catch((error: unknown) => [explain(messageOf(error))]);
      return { driver: "bwrap", ready: problems.length === 0, problems };
    },
  };
}

function missingParts(bwrap: string | undefined, { uidBase }: BubblewrapOptions): string[] {
  const problems: string[] = [];
  if (bwrap === undefined || !existsSync(bwrap))
    problems.push("bubblewrap is not installed; install it, e.g. apt-get install bubblewrap.");
  if (!existsSync(PERL))
    problems.push(
      `${PERL} is not installed, which guests are supervised with; install it, e.g. apt-get install perl-base.`,
    );
  if (isRoot() && uidBase === undefined)
    problems.push(
      "This service runs as root and has no range of uids for its guests; configure one, or run it as another user.",
    );
  return problems;
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** undefined: the guest runs as the (unprivileged) user of this service. */
function guestUid(uidBase: number | undefined, slot: number): number | undefined {
  if (!Number.isInteger(slot) || slot < 0 || slot > MAX_SLOT)
    throw new AppError("sandbox_error", `There is no slot ${slot}`);
  if (!isRoot()) return undefined;
  if (uidBase === undefined || !Number.isInteger(uidBase) || uidBase < 1)
    throw new AppError(
      "sandbox_error",
      `The first uid of guests must be a whole number above 0, not ${uidBase}`,
    );
  return uidBase + slot;
}

/** Every uid that a guest of this service can have. */
function guestIds(uidBase: number | undefined): GuestIds {
  if (isRoot() && uidBase !== undefined) return { firstUid: uidBase, lastUid: uidBase + MAX_SLOT };
  const own = process.getuid?.() ?? -1;
  return { firstUid: own, lastUid: own };
}

function launch(plan: {
  readonly bwrap: string;
  readonly root: GuestRoot;
  readonly request: GuestRequest;
  readonly fds: GuestWriteFds;
  readonly uid: number | undefined;
}): LaunchedSupervisor {
  const { request, fds, uid } = plan;
  // The order of extraFds below decides the numbers that the child sees. Above 2, since bubblewrap's own waiting process
  // closes all others, and would hold the guest's stdout open if it were its own.
  const [argsFd, statusFd, resultFd, stdoutFd, stderrFd] = [3, 4, 5, 6, 7];
  const encoded = encodeBubblewrapArguments({
    root: plan.root,
    mounts: request.mounts,
    diskBytes: request.limits.diskBytes,
    statusFd,
  });
  const argsPipe = openFilledPipe(encoded);
  const status = openPipe();
  try {
    const child = spawnProcess({
      argv: [
        [plan.bwrap, "--args", String(argsFd), "--"],
        [PERL, SUPERVISOR_IN_GUEST, process.arch],
        [resultFd, stdoutFd, stderrFd].map(String),
        ["/work", "/tmp"],
      ].flat(),
      env: {},
      cwd: "/",
      extraFds: [argsPipe, status.writeFd, fds.result, fds.stdout, fds.stderr],
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    return withTakeDown(child, status.readFd);
  } catch (error) {
    closeSync(status.readFd);
    throw error;
  } finally {
    closeSync(argsPipe);
    closeSync(status.writeFd);
  }
}

function withTakeDown(child: ChildProcess, statusFd: number): LaunchedSupervisor {
  const status = readPipe(statusFd);
  const inner = readInnerPid(status.stream);
  return {
    child,
    async takeDown() {
      const innerPid = await beforeDeadline(
        Promise.race([inner, child.exited.then(() => null)]),
        INNER_KILL_MS,
      );
      if (typeof innerPid === "number") killChildOf(child.pid, innerPid);
      const late = (await beforeDeadline(child.exited, INNER_KILL_MS)) === LATE;
      if (late) {
        child.kill();
        await child.exited;
        if (typeof innerPid === "number") await untilGone(innerPid);
      }
      await status.close();
    },
  };
}

/** bubblewrap's status is a JSON object a line; the first names the inner process by its pid out here. */
async function readInnerPid(stream: ReadableStream<Uint8Array>): Promise<number | null> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const found = /"child-pid"\s*:\s*(\d+)/.exec(text)?.[1];
    if (found !== undefined) return Number(found);
    const { done, value } = await reader.read();
    if (done) return null;
    text += decoder.decode(value, { stream: true });
  }
}

/** A pid may be somebody else's by now: only a child of that bwrap is hit. */
function killChildOf(parentPid: number, pid: number): void {
  try {
    const parent = /^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    if (Number(parent) === parentPid) process.kill(pid, "SIGKILL");
  } catch {
    // No such process: it was faster.
  }
}

/** The inner process dies with the outer one, but a moment later. */
async function untilGone(pid: number): Promise<void> {
  const deadline = performance.now() + REMAINS_DEADLINE_MS;
  while (existsSync(`/proc/${pid}`) && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, REMAINS_POLL_MS));
}

/** Adds the remedy to what bubblewrap says when the host does not let it work. */
function explain(problem: string): string {
  if (/Unknown option/i.test(problem)) return `${problem}. bubblewrap 0.8 or newer is needed.`;
  if (/namespace|uid map|Operation not permitted/i.test(problem))
    return `${problem}. The host must allow unprivileged user namespaces: see kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns and, in a container, its seccomp profile and systempaths=unconfined.`;
  return problem;
}
