import { constants } from "node:os";

import { AppError, messageOf } from "../errors.ts";
import type { PipeReader } from "../platform/pipe.ts";
import type { ChildProcess } from "../platform/spawn.ts";
import { beforeDeadline, LATE } from "./deadline.ts";
import type { GuestMeter } from "./guest-meter.ts";
import type { GuestOutputReader, SupervisorExit, WantedFiles } from "./guest-output.ts";
import type { LastWords } from "./last-words.ts";
import type { Guest, GuestExit, GuestLimit } from "./sandbox.ts";

/*
 * A guest whose program has been started: its end, its limits, its files (supervised-guest.ts starts it).
 */

/** From stop() until every process is dead; the kernel needs a few ms. */
const STOP_DEADLINE_MS = 3_000;
const { SIGKILL } = constants.signals;

/** A supervisor that was started. */
export interface LaunchedSupervisor {
  readonly child: ChildProcess;
  /** The supervisor's pid as this process sees it; null when it ended before that was known. */
  readonly supervisorPid: Promise<number | null>;
  /** Takes down the supervisor and every process under it. Resolves when they are gone; called once. */
  takeDown(): Promise<void>;
}

export interface Readers {
  readonly result: PipeReader;
  readonly stdout: PipeReader;
  readonly stderr: PipeReader;
}

export interface RunningParts {
  readonly supervisor: LaunchedSupervisor;
  readonly readers: Readers;
  readonly reader: GuestOutputReader;
  readonly lastWords: LastWords;
  readonly takeDown: () => Promise<void>;
  readonly meter: GuestMeter;
  readonly wantedFiles: WantedFiles;
}

/** Throws what the meter throws when it is to watch the guest: the caller takes it down then. */
export function runningGuest(parts: RunningParts): Guest {
  const { supervisor, readers, reader, lastWords, takeDown, meter } = parts;
  let broken = "";
  let endedFor: GuestLimit | null = null;

  // Whoever destroys the guest, which everybody must, hears of what this one meets.
  const giveUp = () => takeDown().catch(() => undefined);

  // Never rejects: it is waited for here and there, and where nobody does the whole service would end.
  const awaitExit = async (): Promise<GuestExit | null> => {
    const end = await reader.readExit().catch((error: unknown) => {
      broken ||= `The sandbox said something odd: ${messageOf(error)}`;
      return null;
    });
    let exit: GuestExit | null = null;
    try {
      if (end !== null) return guestExit(end, meter, endedFor);
      broken ||= "The sandbox ended before the program did";
      exit = killedForMemory(meter);
    } catch (error) {
      broken ||= `What the program took could not be read: ${messageOf(error)}`;
    }
    await giveUp();
    return exit;
  };
  const exited = awaitExit();

  const stop = once(async () => {
    supervisor.child.endStdin();
    if ((await beforeDeadline(exited, STOP_DEADLINE_MS)) !== LATE) return;
    broken ||= `The guest could not be stopped within ${STOP_DEADLINE_MS} ms`;
    await giveUp();
  });
  meter.watch((limit) => {
    endedFor = limit;
    void stop();
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
      yield* reader.readFiles(parts.wantedFiles);
    },
    stop: () => void stop(),
    destroy: takeDown,
  };
}

function guestExit(
  exit: SupervisorExit,
  meter: GuestMeter,
  endedForLimit: GuestLimit | null,
): GuestExit {
  const { isDiskFull, isEndedForDisk, needsRoom, ...ended } = exit;
  const { limitsMet, ...measures } = meter.finish();
  if (needsRoom) meter.makeRoom();
  return {
    ...ended,
    ...measures,
    endedFor: endedForLimit ?? (isEndedForDisk ? "disk" : null),
    limitsMet: isDiskFull ? [...limitsMet, "disk"] : limitsMet,
  };
}

/** Where a guest's memory ran out under the supervisor itself, the kernel's count tells; its files are lost. */
function killedForMemory(meter: GuestMeter): GuestExit | null {
  const measures = meter.finish();
  if (measures.oom !== true) return null;
  return { exitCode: null, signalNumber: SIGKILL, cpuMs: 0, endedFor: null, ...measures };
}

function leftOutWarning(files: number): readonly string[] {
  if (files === 0) return [];
  return [
    `${files} of the files in the working directory were not kept: past the limits on number, size or depth, unreadable, or with a name that is no UTF-8`,
  ];
}

/** The same work for every call, begun by the first. */
export function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= work());
}
