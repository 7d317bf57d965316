import { closeSync, existsSync, readFileSync } from "node:fs";

import { openFilledFile, openPipe, readPipe } from "../platform/pipe.ts";
import { type ChildProcess, spawnProcess } from "../platform/spawn.ts";
import { encodeBubblewrapArguments } from "./bubblewrap-arguments.ts";
import { beforeDeadline, LATE } from "./deadline.ts";
import { type GuestRoot, SUPERVISOR, SUPERVISOR_DIR_IN_GUEST } from "./guest-root.ts";
import type { LaunchedSupervisor } from "./running-guest.ts";
import type { GuestSetup } from "./sandbox.ts";
import type { GuestWriteFds } from "./supervised-guest.ts";

/*
 * Starts bubblewrap with a supervisor in it, and takes the two down. The processes, from outside in: bwrap (waits), the
 * supervisor (PID 1 of the guest), the program.
 */

export interface BubblewrapPlan {
  readonly bwrap: string;
  readonly perl: string;
  readonly root: GuestRoot;
  /** Of system calls (seccomp.ts). */
  readonly filter: Uint8Array;
  readonly setup: GuestSetup;
  readonly fds: GuestWriteFds;
  readonly uid: number | undefined;
}

/** Killing only the outer bwrap in its first 5 ms leaves the inner process behind in one of six tries. */
const INNER_KILL_MS = 400;
/** After the outer one is killed as well, the kernel still takes the namespace apart. */
const REMAINS_POLL_MS = 10;
const REMAINS_DEADLINE_MS = 2_000;

/** Throws what spawning throws, and AppError `sandbox_error` for a mount that is refused. */
export function launchBubblewrap(plan: BubblewrapPlan): LaunchedSupervisor {
  const { setup, fds, uid } = plan;
  // The order of extraFds below decides the numbers that the child sees. Above 2, since bubblewrap's own waiting process
  // closes all others, and would hold the guest's stdout open if it were its own.
  const [statusFd, argsFd, seccompFd, resultFd, stdoutFd, stderrFd] = [3, 4, 5, 6, 7, 8];
  const encoded = encodeBubblewrapArguments({
    root: plan.root,
    mounts: setup.mounts,
    diskBytes: setup.diskBytes,
    proxySocket: setup.proxySocket,
    statusFd,
    seccompFd,
  });
  const status = openPipe();
  const passedOn = [status.writeFd];
  try {
    // Fresh ones for each child, which reads them to their end.
    for (const bytes of [encoded, plan.filter]) passedOn.push(openFilledFile(bytes));
    const child = spawnProcess({
      argv: [
        [plan.bwrap, "--args", String(argsFd), "--"],
        [plan.perl, `${SUPERVISOR_DIR_IN_GUEST}/${SUPERVISOR}`, process.arch],
        [resultFd, stdoutFd, stderrFd].map(String),
        ["/work", "/tmp"],
      ].flat(),
      env: {},
      cwd: "/",
      extraFds: [...passedOn, fds.result, fds.stdout, fds.stderr],
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    return withTakeDown(child, status.readFd);
  } catch (error) {
    closeSync(status.readFd);
    throw error;
  } finally {
    for (const fd of passedOn) closeSync(fd);
  }
}

function withTakeDown(child: ChildProcess, statusFd: number): LaunchedSupervisor {
  const status = readPipe(statusFd);
  const inner = readInnerPid(status.stream);
  const supervisorPid = Promise.race([inner, child.exited.then(() => null)]);
  return {
    child,
    supervisorPid,
    async takeDown() {
      const innerPid = await beforeDeadline(supervisorPid, INNER_KILL_MS);
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
