import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

import { MIB, type Limits } from "../../src/jobs/limits.ts";
import {
  type Guest,
  type GuestExit,
  type GuestInput,
  type GuestRequest,
  type PreparableSandbox,
  type Sandbox,
  setupOf,
} from "../../src/sandbox/sandbox.ts";

/** The defaults of a job. */
export const DEFAULT_LIMITS: Limits = {
  memoryBytes: 512 * MIB,
  cpuSec: 60,
  processes: 64,
  diskBytes: 256 * MIB,
  outputBytes: 64 * MIB,
};

/** A request that runs `script` with sh; `$0` is "sh". */
export function shellRequest(script: string, overrides: Partial<GuestRequest> = {}): GuestRequest {
  return {
    argv: ["/bin/sh", "-c", script, "sh"],
    env: {},
    stdin: new Uint8Array(0),
    inputs: [],
    mounts: [],
    limits: DEFAULT_LIMITS,
    memoryLimit: "address_space",
    slot: 0,
    ...overrides,
  };
}

/** The sandbox, each of whose guests finds everything set up and waiting. */
export function startingAhead(sandbox: PreparableSandbox): Sandbox {
  return {
    selfTest: () => sandbox.selfTest(),
    async start(request) {
      const prepared = await sandbox.prepare(setupOf(request));
      await prepared.wait(request.interpreter);
      return await prepared.run(request);
    },
  };
}

export function textInput(path: string, text: string): GuestInput {
  const bytes = new TextEncoder().encode(text);
  return { path, sizeBytes: bytes.length, bytes: () => new Blob([bytes]).stream() };
}

export interface Finished {
  readonly stdout: string;
  readonly stderr: string;
  readonly exit: GuestExit | null;
  readonly files: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
}

/** Runs a guest to its end and takes it down. */
export async function runGuest(sandbox: Sandbox, request: GuestRequest): Promise<Finished> {
  const guest = await sandbox.start(request);
  try {
    return await finish(guest);
  } finally {
    await guest.destroy();
  }
}

/** Everything that comes out of a guest. */
export async function finish(guest: Guest): Promise<Finished> {
  const [stdout, stderr, exit] = await Promise.all([
    new Response(guest.stdout).text(),
    new Response(guest.stderr).text(),
    guest.exited,
  ]);
  const outputs = exit === null ? [] : await outputsOf(guest);
  const files = Object.fromEntries(outputs.map(({ path, bytes }) => [path, bytes.toString()]));
  return { stdout, stderr, exit, files, warnings: guest.warnings() };
}

/** The files of a guest that has ended. */
export async function outputsOf(guest: Guest): Promise<readonly { path: string; bytes: Buffer }[]> {
  const outputs: { path: string; bytes: Buffer }[] = [];
  for await (const { path, bytes } of guest.outputs()) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of bytes) chunks.push(chunk);
    outputs.push({ path, bytes: Buffer.concat(chunks) });
  }
  return outputs;
}

/** A guest's stdout, read as far as a test needs it. */
export class Printed {
  text = "";
  readonly #chunks: AsyncIterator<Uint8Array>;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** Resolves once `part` has been printed. */
  async until(part: string): Promise<void> {
    while (!this.text.includes(part)) {
      const { done, value } = await this.#chunks.next();
      if (done === true) throw new Error(`The output ended without ${part}: ${this.text}`);
      this.text += Buffer.from(value).toString();
    }
  }
}

/** Pids of this host's processes that have `marker` among their arguments. */
export function processesWith(marker: string): readonly number[] {
  return readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(marker);
      } catch {
        return false;
      }
    });
}

/** The kernel has no event for the end of a process that is no child: asked until it is true. */
export async function untilNoProcessWith(marker: string): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (processesWith(marker).length > 0) {
    if (performance.now() > deadline) throw new Error(`${marker} is still running`);
    await delay(10);
  }
}

/**
 * Waits until a process that was killed has let go of all that it held, whether or not it is waited for yet: its memory, and
 * with it its arguments, goes before its descriptors do (linux/kernel/exit.c, do_exit).
 */
export async function untilDead(pid: number): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (/^State:\s+[^ZX]/m.test(readStatus(pid))) {
    if (performance.now() > deadline) throw new Error(`Process ${pid} is still there`);
    await delay(1);
  }
}

/** proc(5), /proc/PID/status; empty once it is gone. */
function readStatus(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return "";
  }
}

/** This process's descriptors, less the ones that come and go with the reading of the list itself. */
export function openFds(): readonly string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`];
    } catch {
      return [];
    }
  });
}

/** Between two looks; Bun closes a stream's own copy of a descriptor on another thread, and tells nobody. */
const LOOK_AGAIN_MS = 5;

/** Waits until nothing is open that was not in `before`; gives up after `deadlineMs`. Resolves to what is still new. */
export async function untilNoNewFds(
  before: readonly string[],
  deadlineMs = 5_000,
): Promise<readonly string[]> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    const added = openFds().filter((each) => !before.includes(each));
    if (added.length === 0 || performance.now() > endMs) return added;
    await Bun.sleep(LOOK_AGAIN_MS);
  }
}
