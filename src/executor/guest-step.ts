import { AppError, messageOf } from "../errors.ts";
import type { InputFile } from "../jobs/job.ts";
import type { StreamName } from "../jobs/log-entry.ts";
import { type Outcome, outcomeWithoutRun, type Usage } from "../jobs/outcome.ts";
import type { Guest, GuestExit, GuestInput, GuestRequest, Sandbox } from "../sandbox/sandbox.ts";
import type { StopCause } from "./classify.ts";
import type { JobStep, LogSink } from "./executor.ts";

/*
 * One guest of a job, from its files to its end: what all of its steps have in common.
 */

/** How long the files of an ended guest may take to come out. */
const COLLECT_DEADLINE_MS = 60_000;

/** A file of a job for one of its guests. */
export function inputOf(
  { job, files }: Pick<JobStep, "job" | "files">,
  file: InputFile,
): GuestInput {
  const { path, sizeBytes } = file;
  return { path, sizeBytes, bytes: () => files.readInput(job.id, file) };
}

type Started =
  | { readonly guest: Guest }
  /** It could not be started: the job's end, or null where there is no sandbox that works. */
  | { readonly guest: null; readonly outcome: Outcome | null };

/**
 * Rejects only for an error of this service. One that may not start, since its job was not claimed, ends as one that cannot: who
 * runs the job knows better (runner/attempt.ts).
 */
export async function startGuest(sandbox: Sandbox, request: GuestRequest): Promise<Started> {
  try {
    return { guest: await sandbox.start(request) };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const isUnavailable = error.code === "sandbox_unavailable";
    const failed = outcomeWithoutRun("failed", "sandbox_error", messageOf(error));
    return { guest: null, outcome: isUnavailable ? null : failed };
  }
}

/** Does what is to be done with a guest, which is taken down at once when the job is abandoned, or when that fails. */
export async function unlessAbandoned<T>(
  guest: Guest,
  { abandoned }: Pick<JobStep, "abandoned">,
  work: () => Promise<T>,
): Promise<T> {
  const abandon = () => beginDestroy(guest);
  abandoned.addEventListener("abort", abandon, { once: true });
  if (abandoned.aborted) abandon();
  try {
    return await work();
  } catch (error) {
    await guest.destroy();
    throw error;
  } finally {
    abandoned.removeEventListener("abort", abandon);
  }
}

/** Passes on what one pipe of a guest brings, to its end. */
export async function pump(
  source: ReadableStream<Uint8Array>,
  stream: StreamName,
  log: LogSink,
): Promise<void> {
  for await (const chunk of source) await log.write(stream, chunk);
  log.endStream(stream);
}

export interface GuestEnd {
  readonly exit: GuestExit | null;
  readonly stopped: StopCause | null;
}

/** Waits for a guest's own end, or ends it at its time limit or on request. */
export async function awaitEnd(
  guest: Guest,
  { timeoutMs, cancelled }: Pick<JobStep, "cancelled"> & { readonly timeoutMs: number },
): Promise<GuestEnd> {
  let stopped: StopCause | null = null;
  const stop = (cause: StopCause) => {
    stopped ??= cause;
    guest.stop();
  };
  const timer = setTimeout(() => stop("timeout"), timeoutMs);
  const cancel = () => stop("cancelled");
  cancelled.addEventListener("abort", cancel, { once: true });
  if (cancelled.aborted) cancel();
  const exit = await guest.exited;
  clearTimeout(timer);
  cancelled.removeEventListener("abort", cancel);
  return { exit, stopped };
}

/** What a guest used that was begun at `startedAtMs` of performance.now() and has just ended; null where nobody can tell. */
export function usageOf(exit: GuestExit | null, startedAtMs: number): Usage | null {
  if (exit === null) return null;
  const { cpuMs, peakMemoryBytes } = exit;
  return { wallMs: Math.round(performance.now() - startedAtMs), cpuMs, peakMemoryBytes };
}

/** Does what is to be done with an ended guest's files; one that does not hand them out in time is taken down. */
export async function withinCollectDeadline<T>(guest: Guest, work: () => Promise<T>): Promise<T> {
  const deadline = setTimeout(() => beginDestroy(guest), COLLECT_DEADLINE_MS);
  try {
    return await work();
  } finally {
    clearTimeout(deadline);
  }
}

/** A guest is always taken down once more at the end, where a failure is heard; here it is only begun. */
function beginDestroy(guest: Guest): void {
  guest.destroy().catch(() => undefined);
}
