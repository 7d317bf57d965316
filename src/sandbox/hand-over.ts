import type { ChildProcess } from "../platform/spawn.ts";
import { beforeDeadline, LATE } from "./deadline.ts";
import { encodeJob, inBatches, type JobEncoding } from "./guest-input.ts";
import { BrokenSandbox, type GuestRequest } from "./sandbox.ts";

/** A supervisor that is to take a job. */
export interface JobTaker extends JobEncoding {
  readonly child: ChildProcess;
  /** Whether it has started the program; it says so by itself. */
  readonly started: Promise<boolean>;
  /** What every program gets beneath the variables of its job. */
  readonly baseEnv: Readonly<Record<string, string>>;
}

/**
 * Sends a job. Resolves to whether its program was started; rejects when an input cannot be read, or with BrokenSandbox when
 * nothing moves for `stallMs`.
 */
export async function handOver(
  request: GuestRequest,
  taker: JobTaker,
  stallMs: number,
): Promise<boolean> {
  const { child, started, baseEnv } = taker;
  let lastProgressMs = performance.now();
  const gone = child.exited.then(() => "gone" as const);
  const env = { ...baseEnv, ...request.env };
  const feed = async () => {
    for await (const bytes of inBatches(encodeJob(request, env, taker))) {
      if ((await Promise.race([child.writeStdin(bytes), gone])) === "gone") break;
      lastProgressMs = performance.now();
    }
    return started;
  };
  const outcome = Promise.race([started, feed()]);
  for (;;) {
    const pausedMs = performance.now() - lastProgressMs;
    if (pausedMs >= stallMs)
      throw new BrokenSandbox(`The sandbox did not take the job within ${stallMs} ms`);
    const result = await beforeDeadline(outcome, stallMs - pausedMs);
    if (result !== LATE) return result;
  }
}
