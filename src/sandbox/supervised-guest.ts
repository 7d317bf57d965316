import { closeSync, fchownSync } from "node:fs";
import { AppError, messageOf } from "../errors.ts";
import { openPipe, readPipe } from "../platform/pipe.ts";
import type { ChildProcess } from "../platform/spawn.ts";
import { beforeDeadline, LATE } from "./deadline.ts";
import { encodeJob, inBatches } from "./guest-input.ts";
import type { GuestMeter } from "./guest-meter.ts";
import { createGuestOutputReader } from "./guest-output.ts";
import { collectText, type LastWords } from "./last-words.ts";
import { type LaunchedSupervisor, once, type Readers, runningGuest } from "./running-guest.ts";
import type { Guest, GuestRequest } from "./sandbox.ts";

/*
 * One guest under a supervisor (supervisor.pl), whatever wall is around the two. The supervisor's stdin is the control
 * pipe: it carries the job, and its end stops the program; so a dead service stops its guests too. Four pipes come back:
 * records (result), the program's stdout and stderr, and the supervisor's own stderr, which says why nothing ran.
 * Nobody on the other side is trusted to go on: each wait has a deadline, after which the guest is taken down.
 */

/** Descriptors for the supervisor, to be passed on as its extra ones. */
export interface GuestWriteFds {
  readonly result: number;
  readonly stdout: number;
  readonly stderr: number;
}

export interface SupervisedLaunch {
  readonly request: GuestRequest;
  /** The program's whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Who runs the program, so that it may reopen its own stdout; absent: this process's user. */
  readonly uid?: number;
  /** Called once; the meter is closed with the guest, also when it does not start. */
  readonly makeMeter: () => GuestMeter;
  readonly launch: (fds: GuestWriteFds) => LaunchedSupervisor;
}

/** The longest pause while a job is handed over, until its program runs. */
const START_STALL_MS = 15_000;
/** The longest pause while files are handed out. */
const OUTPUT_STALL_MS = 15_000;
/** From the end of a supervisor that failed until its last words are read. */
const LAST_WORDS_MS = 500;

/**
 * Starts a guest; resolves once its program runs. Throws AppError `sandbox_error` when the sandbox, the supervisor or
 * the program cannot be started, and whatever reading an input throws. Nothing is left behind then.
 */
export async function startSupervised(plan: SupervisedLaunch): Promise<Guest> {
  const meter = makeMeter(plan);
  try {
    return await startMetered(plan, meter);
  } catch (error) {
    await meter.close();
    throw error;
  }
}

function makeMeter(plan: SupervisedLaunch): GuestMeter {
  try {
    return plan.makeMeter();
  } catch (error) {
    throw new AppError("sandbox_error", `The job's cgroup cannot be made: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

async function startMetered(plan: SupervisedLaunch, meter: GuestMeter): Promise<Guest> {
  const { supervisor, readers } = launchWithPipes(plan);
  const lastWords = collectText(supervisor.child.stderr);
  const reader = createGuestOutputReader(readers.result.stream, {
    maxTotalBytes: plan.request.limits.diskBytes,
    stallMs: OUTPUT_STALL_MS,
  });
  const takeDown = once(async () => {
    supervisor.child.endStdin();
    const closing = [readers.result.close()];
    await supervisor.takeDown();
    closing.push(readers.stdout.close(), readers.stderr.close(), meter.close());
    await Promise.all(closing);
  });
  try {
    await enterMeter(meter, supervisor);
    const started = await handOver(plan, supervisor.child, {
      started: reader.readStarted(),
      meter,
    });
    if (!started) throw await startFailure(lastWords);
  } catch (error) {
    await takeDown();
    throw error;
  }
  return runningGuest({ supervisor, readers, reader, lastWords, takeDown, meter });
}

/** Nothing of the job reaches the supervisor before this. One that has ended already says why where its start is awaited. */
async function enterMeter(meter: GuestMeter, supervisor: LaunchedSupervisor): Promise<void> {
  const pid = await supervisor.supervisorPid;
  if (pid === null) return;
  try {
    await meter.enter(pid);
  } catch (error) {
    const isGone = error instanceof Error && "code" in error && error.code === "ESRCH";
    if (isGone) return;
    const reason = messageOf(error);
    throw new AppError("sandbox_error", `The limits could not be put on: ${reason}`, {
      cause: error,
    });
  }
}

function launchWithPipes(plan: SupervisedLaunch): {
  readonly supervisor: LaunchedSupervisor;
  readonly readers: Readers;
} {
  const openFds: number[] = [];
  const pipe = () => {
    const made = openPipe();
    openFds.push(made.readFd, made.writeFd);
    return made;
  };
  try {
    const [result, stdout, stderr] = [pipe(), pipe(), pipe()];
    if (plan.uid !== undefined)
      for (const { writeFd } of [stdout, stderr]) fchownSync(writeFd, plan.uid, plan.uid);
    const supervisor = plan.launch({
      result: result.writeFd,
      stdout: stdout.writeFd,
      stderr: stderr.writeFd,
    });
    for (const { writeFd } of [result, stdout, stderr]) closeSync(writeFd);
    return {
      supervisor,
      readers: {
        result: readPipe(result.readFd),
        stdout: readPipe(stdout.readFd),
        stderr: readPipe(stderr.readFd),
      },
    };
  } catch (error) {
    for (const fd of openFds) closeSync(fd);
    throw new AppError("sandbox_error", `The sandbox could not be started: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Sends the job. Resolves to whether its program was started; rejects when an input cannot be read, or nothing moves. */
async function handOver(
  plan: SupervisedLaunch,
  child: ChildProcess,
  { started, meter }: { readonly started: Promise<boolean>; readonly meter: GuestMeter },
): Promise<boolean> {
  let lastProgressMs = performance.now();
  const gone = child.exited.then(() => "gone" as const);
  const feed = async () => {
    for await (const bytes of inBatches(encodeJob(plan.request, plan.env, meter.isHeldAsWhole))) {
      if ((await Promise.race([child.writeStdin(bytes), gone])) === "gone") break;
      lastProgressMs = performance.now();
    }
    return started;
  };
  const outcome = Promise.race([started, feed()]);
  for (;;) {
    const pausedMs = performance.now() - lastProgressMs;
    if (pausedMs >= START_STALL_MS)
      throw new AppError(
        "sandbox_error",
        `The sandbox did not take the job within ${START_STALL_MS} ms`,
      );
    const result = await beforeDeadline(outcome, START_STALL_MS - pausedMs);
    if (result !== LATE) return result;
  }
}

async function startFailure(lastWords: LastWords): Promise<AppError> {
  await beforeDeadline(lastWords.complete, LAST_WORDS_MS);
  return new AppError(
    "sandbox_error",
    lastWords.text() || "The sandbox ended before the program started",
  );
}
