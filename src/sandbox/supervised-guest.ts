import { closeSync, fchownSync } from "node:fs";
import { AppError, messageOf } from "../errors.ts";
import { openPipe, readPipe, type PipeReader } from "../platform/pipe.ts";
import type { ChildProcess } from "../platform/spawn.ts";
import { beforeDeadline, LATE } from "./deadline.ts";
import { encodeJob } from "./guest-input.ts";
import { createGuestOutputReader } from "./guest-output.ts";
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

/** A supervisor that was started. */
export interface LaunchedSupervisor {
  readonly child: ChildProcess;
  /** Takes down the supervisor and every process under it. Resolves when they are gone; called once. */
  takeDown(): Promise<void>;
}

export interface SupervisedLaunch {
  readonly request: GuestRequest;
  /** The program's whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Who runs the program, so that it may reopen its own stdout; absent: this process's user. */
  readonly uid?: number;
  readonly launch: (fds: GuestWriteFds) => LaunchedSupervisor;
}

/** The longest pause while a job is handed over, until its program runs. */
const START_STALL_MS = 15_000;
/** From stop() until every process is dead; the kernel needs a few ms. */
const STOP_DEADLINE_MS = 3_000;
/** The longest pause while files are handed out. */
const OUTPUT_STALL_MS = 15_000;
/** From the end of a supervisor that failed until its last words are read. */
const LAST_WORDS_MS = 500;
const FAILURE_TEXT_BYTES = 4096;

interface Readers {
  readonly result: PipeReader;
  readonly stdout: PipeReader;
  readonly stderr: PipeReader;
}

/**
 * Starts a guest; resolves once its program runs. Throws AppError `sandbox_error` when the sandbox, the supervisor or
 * the program cannot be started, and whatever reading an input throws. Nothing is left behind then.
 */
export async function startSupervised(plan: SupervisedLaunch): Promise<Guest> {
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
    closing.push(readers.stdout.close(), readers.stderr.close());
    await Promise.all(closing);
  });
  try {
    const started = await handOver(plan, supervisor.child, reader.readStarted());
    if (!started) throw await startFailure(lastWords);
  } catch (error) {
    await takeDown();
    throw error;
  }
  return runningGuest({ supervisor, readers, reader, lastWords, takeDown });
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
  started: Promise<boolean>,
): Promise<boolean> {
  let lastProgressMs = performance.now();
  const gone = child.exited.then(() => "gone" as const);
  const feed = async () => {
    for await (const bytes of encodeJob(plan.request, plan.env)) {
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

interface RunningParts {
  readonly supervisor: LaunchedSupervisor;
  readonly readers: Readers;
  readonly reader: ReturnType<typeof createGuestOutputReader>;
  readonly lastWords: LastWords;
  readonly takeDown: () => Promise<void>;
}

function runningGuest(parts: RunningParts): Guest {
  const { supervisor, readers, reader, lastWords, takeDown } = parts;
  let broken = "";

  const awaitExit = async () => {
    try {
      const exit = await reader.readExit();
      if (exit !== null) return exit;
      broken ||= "The sandbox ended before the program did";
    } catch (error) {
      broken ||= `The sandbox said something odd: ${messageOf(error)}`;
    }
    await takeDown();
    return null;
  };
  const exited = awaitExit();

  const stop = once(async () => {
    supervisor.child.endStdin();
    if ((await beforeDeadline(exited, STOP_DEADLINE_MS)) !== LATE) return;
    broken ||= `The guest could not be stopped within ${STOP_DEADLINE_MS} ms`;
    await takeDown();
  });

  return {
    stdout: readers.stdout.stream,
    stderr: readers.stderr.stream,
    exited,
    failure: () => [broken, lastWords.text()].filter(Boolean).join(": "),
    warnings: () => leftOutWarning(reader.leftOut()),
    async *outputs() {
      if ((await exited) === null)
        throw new AppError("sandbox_error", "The guest's files are lost");
      yield* reader.readFiles();
    },
    stop: () => void stop(),
    destroy: takeDown,
  };
}

function leftOutWarning(files: number): readonly string[] {
  if (files === 0) return [];
  return [
    `${files} of the files in the working directory were not kept: past the limits on number, size or depth, unreadable, or with a name that is no UTF-8`,
  ];
}

interface LastWords {
  readonly complete: Promise<void>;
  text(): string;
}

/** Reads to the end, so that the writer never blocks, and keeps the first bytes. */
function collectText(stream: ReadableStream<Uint8Array>): LastWords {
  const decoder = new TextDecoder();
  let text = "";
  const read = async () => {
    for await (const chunk of stream)
      if (text.length < FAILURE_TEXT_BYTES) text += decoder.decode(chunk, { stream: true });
  };
  return {
    complete: read().catch(() => undefined),
    text: () => text.slice(0, FAILURE_TEXT_BYTES).trim(),
  };
}

function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= work());
}
