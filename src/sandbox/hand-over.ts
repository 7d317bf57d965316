import type { ChildProcess } from "../platform/spawn.ts";
import { beforeDeadline, LATE } from "./deadline.ts";
import { encodeGo, encodeJob, inBatches } from "./guest-input.ts";
import { BrokenSandbox, type GuestRequest } from "./sandbox.ts";

/** A supervisor that is to take a job. */
export interface JobTaker {
  readonly child: ChildProcess;
  /** Whether it has started the program; it says so by itself. */
  readonly started: Promise<boolean>;
  /** What every program gets beneath the variables of its job. */
  readonly baseEnv: Readonly<Record<string, string>>;
  /** A cgroup holds all processes together to the limits of memory and processes. */
  readonly isHeldAsWhole: boolean;
  /** The interpreter that waits is to run it. */
  readonly isWarm: boolean;
}

/**
 * Sends a job, and has its program run as soon as that may be. Resolves to whether it was started; rejects when an input cannot
 * be read, when the program may not run, or with BrokenSandbox when the supervisor does not move for `stallMs`.
 */
export async function handOver(
  request: GuestRequest,
  taker: JobTaker,
  stallMs: number,
): Promise<boolean> {
  const { child, started, baseEnv, isHeldAsWhole, isWarm } = taker;
  let lastProgressMs = performance.now();
  let isOver = false;
  const gone = child.exited.then(() => "gone" as const);
  const send = async (bytes: Uint8Array): Promise<boolean> => {
    const isTaken = (await Promise.race([child.writeStdin(bytes), gone])) !== "gone";
    lastProgressMs = performance.now();
    return isTaken;
  };
  const feed = async () => {
    const env = { ...baseEnv, ...request.env };
    for await (const bytes of inBatches(encodeJob(request, env, isHeldAsWhole)))
      if (isOver || !(await send(bytes))) return;
  };
  const unlessStalled = async <T>(work: Promise<T>): Promise<T> => {
    for (;;) {
      const pausedMs = performance.now() - lastProgressMs;
      if (pausedMs >= stallMs)
        throw new BrokenSandbox(`The sandbox did not take the job within ${stallMs} ms`);
      const result = await beforeDeadline(work, stallMs - pausedMs);
      if (result !== LATE) return result;
    }
  };
  const refused = new Promise<never>((_, reject) => {
    request.mayStart?.catch(reject);
  });
  try {
    // One that has ended says by `started` that it did not start anything.
    await unlessStalled(Promise.race([feed(), started, refused]));
    await request.mayStart;
    lastProgressMs = performance.now();
    await unlessStalled(send(encodeGo(isWarm)));
    return await unlessStalled(started);
  } finally {
    // Whoever takes the supervisor down now needs no more of the inputs read.
    isOver = true;
  }
}
