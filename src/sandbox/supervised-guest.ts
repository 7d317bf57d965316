import { closeSync, fchownSync } from "node:fs";
import { AppError, messageOf } from "../errors.ts";
import { openPipe, readPipe } from "../platform/pipe.ts";
import { beforeDeadline, LATE } from "./deadline.ts";
import { encodeWait, forwardersOf } from "./guest-input.ts";
import type { GuestMeter } from "./guest-meter.ts";
import { createGuestOutputReader, type GuestOutputReader } from "./guest-output.ts";
import { handOver } from "./hand-over.ts";
import { collectText, type LastWords } from "./last-words.ts";
import { type LaunchedSupervisor, once, type Readers, runningGuest } from "./running-guest.ts";
import {
  BrokenSandbox,
  type Guest,
  type GuestRequest,
  type PreparedGuest,
  type WaitingInterpreter,
} from "./sandbox.ts";

/*
 * One guest under a supervisor (supervisor.pl), whatever wall is around the two. The supervisor's stdin is the control
 * pipe: it carries the job, and its end stops the program; so a dead service stops its guests too. Four pipes come back:
 * records (result), the program's stdout and stderr, and the supervisor's own stderr, which says why nothing ran.
 * Nobody on the other side is trusted to go on: each wait has a deadline, after which the guest is taken down.
 *
 * Everything up to the job itself can be done before there is one. A cold start is the same, with the job at once.
 */

/** Descriptors for the supervisor, to be passed on as its extra ones. */
export interface GuestWriteFds {
  readonly result: number;
  readonly stdout: number;
  readonly stderr: number;
}

export interface SupervisedSetup {
  /** What every program gets beneath the variables of its job. */
  readonly baseEnv: Readonly<Record<string, string>>;
  /** Who runs the program, so that it may reopen its own stdout; absent: this process's user. */
  readonly uid?: number | undefined;
  /** Called once; the meter is closed with the guest, also when it does not start. */
  readonly makeMeter: () => GuestMeter;
  readonly launch: (fds: GuestWriteFds) => LaunchedSupervisor;
  /** Called once nothing of the guest is left, if it was ever launched. */
  readonly onGone?: () => void;
  /** Absent: START_STALL_MS. */
  readonly startStallMs?: number;
}

/** The longest pause until a supervisor has its pid, and while a job is handed over until its program runs. */
const START_STALL_MS = 15_000;
/** The longest pause while files are handed out. */
const OUTPUT_STALL_MS = 15_000;
/** From the end of a supervisor that failed until its last words are read. */
const LAST_WORDS_MS = 500;

/** A supervisor, and all that belongs to it. */
interface Launched {
  readonly setup: SupervisedSetup;
  readonly meter: GuestMeter;
  readonly supervisor: LaunchedSupervisor;
  readonly readers: Readers;
  readonly reader: GuestOutputReader;
  readonly lastWords: LastWords;
  /** Whether what was to wait does. */
  readonly ready: Promise<boolean>;
  /** Whether the program was started. */
  readonly started: Promise<boolean>;
  readonly takeDown: () => Promise<void>;
}

/**
 * Starts a supervisor; resolves once it may be given a job. Throws AppError `sandbox_error` when that cannot be done;
 * nothing is left behind then.
 */
export async function prepareSupervised(setup: SupervisedSetup): Promise<PreparedGuest> {
  const meter = makeMeter(setup);
  let launched: Launched;
  try {
    launched = launchMetered(setup, meter);
  } catch (error) {
    await meter.close();
    throw error;
  }
  const { supervisor, takeDown, ready } = launched;
  try {
    await enterMeter(launched);
  } catch (error) {
    await takeDown();
    throw error;
  }
  const { child } = supervisor;
  let isUsed = false;
  let waiting: WaitingInterpreter | undefined;
  return {
    async wait(interpreter) {
      waiting = interpreter;
      await child.writeStdin(encodeWait(interpreter, setup.baseEnv));
      return Promise.race([ready, child.exited.then(() => false)]);
    },
    lastWords: () => collectLastWords(launched),
    gone: child.exited.then(() => undefined),
    memoryBytes: () => meter.memoryBytes(),
    run(request) {
      isUsed = true;
      return runPrepared(launched, request, isFor(waiting, request.interpreter));
    },
    destroy: async () => (isUsed ? undefined : takeDown()),
  };
}

function makeMeter(setup: SupervisedSetup): GuestMeter {
  try {
    return setup.makeMeter();
  } catch (error) {
    throw new AppError("sandbox_error", `The job's cgroup cannot be made: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function launchMetered(setup: SupervisedSetup, meter: GuestMeter): Launched {
  const { supervisor, readers } = launchWithPipes(setup);
  const lastWords = collectText(supervisor.child.stderr);
  const reader = createGuestOutputReader(readers.result.stream, { stallMs: OUTPUT_STALL_MS });
  const takeDown = once(async () => {
    supervisor.child.endStdin();
    const closing = [readers.result.close()];
    await supervisor.takeDown();
    closing.push(readers.stdout.close(), readers.stderr.close(), meter.close());
    await Promise.all(closing);
    setup.onGone?.();
  });
  const { promise: ready, resolve: onReady } = Promise.withResolvers<boolean>();
  const started = reader.readStarted(onReady).catch((error: unknown) => {
    throw new BrokenSandbox(`The sandbox said something odd: ${messageOf(error)}`, error);
  });
  // Awaited with the job, if there ever is one.
  started.catch(() => onReady(false));
  return { setup, meter, supervisor, readers, reader, lastWords, ready, started, takeDown };
}

/** Nothing of a job reaches the supervisor before this. One that has ended already says why where its start is awaited. */
async function enterMeter({ meter, supervisor, setup }: Launched): Promise<void> {
  const { startStallMs = START_STALL_MS } = setup;
  const pid = await beforeDeadline(supervisor.supervisorPid, startStallMs);
  if (pid === LATE)
    throw new BrokenSandbox(`The sandbox did not come up within ${startStallMs} ms`);
  if (pid === null) return;
  try {
    await meter.enter(pid);
  } catch (error) {
    const isGone = error instanceof Error && "code" in error && error.code === "ESRCH";
    if (!isGone) throw limitFailure(error);
  }
}

function limitFailure(error: unknown): BrokenSandbox {
  return new BrokenSandbox(`The limits could not be put on: ${messageOf(error)}`, error);
}

function launchWithPipes(setup: SupervisedSetup): {
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
    if (setup.uid !== undefined)
      for (const { writeFd } of [stdout, stderr]) fchownSync(writeFd, setup.uid, setup.uid);
    const supervisor = setup.launch({
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

/**
 * Gives the supervisor its job; resolves once the program runs. Throws AppError `sandbox_error` when the sandbox, the
 * supervisor or the program cannot be started, and whatever reading an input, `mayStart` or watching the program throws. Nothing
 * is left behind then.
 */
async function runPrepared(
  launched: Launched,
  request: GuestRequest,
  isWarm: boolean,
): Promise<Guest> {
  const { setup, supervisor, started, meter, lastWords, takeDown } = launched;
  const { baseEnv, startStallMs = START_STALL_MS } = setup;
  const { isHeldAsWhole } = meter;
  const taker = { child: supervisor.child, started, baseEnv, isHeldAsWhole, isWarm };
  try {
    const { limits } = request;
    try {
      meter.limit({ limits, helpers: forwardersOf(request), isWarm });
    } catch (error) {
      throw limitFailure(error);
    }
    if (!(await handOver(request, taker, startStallMs))) throw await startFailure(lastWords);
    const isBelowFolder = request.outputsBelow !== undefined;
    const wantedFiles = { maxTotalBytes: limits.diskBytes, isBelowFolder };
    return runningGuest({ ...launched, wantedFiles });
  } catch (error) {
    await takeDown();
    throw error;
  }
}

/** Of a sandbox that is not to be used: the end of its input is its own, and that of all that could still say something. */
async function collectLastWords({ supervisor, readers, lastWords }: Launched): Promise<string> {
  supervisor.child.endStdin();
  const sources = [lastWords, collectText(readers.stderr.stream)];
  await beforeDeadline(Promise.all(sources.map(({ complete }) => complete)), LAST_WORDS_MS);
  return sources
    .map((source) => source.text())
    .filter(Boolean)
    .join(" ");
}

function isFor(
  started: WaitingInterpreter | undefined,
  wanted: WaitingInterpreter | undefined,
): boolean {
  return started !== undefined && JSON.stringify(started) === JSON.stringify(wanted);
}

/** A supervisor that gives a job up says why; one that was ended from outside says nothing. */
async function startFailure(lastWords: LastWords): Promise<AppError> {
  await beforeDeadline(lastWords.complete, LAST_WORDS_MS);
  const said = lastWords.text();
  return said === ""
    ? new BrokenSandbox("The sandbox ended before the program started")
    : new AppError("sandbox_error", said);
}
