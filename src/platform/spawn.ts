/** A child process with descriptors of the caller's choice. */
export interface ChildProcess {
  readonly pid: number;
  /** Resolves when the process itself is gone; its exit code, or 128 + n for signal n. Never rejects. */
  readonly exited: Promise<number>;
  /** What it writes to its own stderr. Must be read: it is buffered without bound otherwise. */
  readonly stderr: ReadableStream<Uint8Array>;
  /** Writes to its stdin; resolves once it was taken over (back-pressure). Silent when the child is gone. */
  writeStdin(bytes: Uint8Array): Promise<void>;
  /** Ends its stdin. Idempotent. */
  endStdin(): void;
  /** SIGKILL to the process alone; a no-op once it is gone. */
  kill(): void;
}

export interface SpawnRequest {
  readonly argv: readonly string[];
  /** The whole environment: nothing of this process is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Descriptors that the child sees as 3, 4, ...; the caller closes its own copies. stdout is /dev/null. */
  readonly extraFds: readonly number[];
  /** The user and group to become (with no further groups); absent: those of this process. */
  readonly uid?: number;
  readonly gid?: number;
}

/** The last id that is no special value (-1 means "unchanged" to the kernel). */
const MAX_ID = 0xffff_fffe;

/** Bun takes `uid: NaN` and runs the child as root, so that ids are checked here, at the last door. */
function assertId(what: string, id: number): void {
  if (!Number.isInteger(id) || id < 1 || id > MAX_ID)
    throw new RangeError(`${what} must be a whole number above 0, not ${id}`);
}

/**
 * Starts a process. Call it from the main thread: a parent-death signal follows the thread. Throws when it cannot be
 * started (ENOENT, EACCES, EMFILE) or an id is no unprivileged one.
 */
export function spawnProcess(request: SpawnRequest): ChildProcess {
  const { uid, gid } = request;
  if (uid !== undefined) assertId("uid", uid);
  if (gid !== undefined) assertId("gid", gid);
  const child = Bun.spawn({
    cmd: [...request.argv],
    env: { ...request.env },
    cwd: request.cwd,
    stdio: ["pipe", "ignore", "pipe", ...request.extraFds],
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  });
  const { stdin, stderr } = child;
  let stdinOpen = true;
  return {
    pid: child.pid,
    exited: child.exited,
    stderr,
    async writeStdin(bytes) {
      if (!stdinOpen) return;
      try {
        await stdin.write(bytes);
        await stdin.flush();
      } catch {
        // EPIPE: the child is gone, which `exited` says.
      }
    },
    endStdin() {
      if (!stdinOpen) return;
      stdinOpen = false;
      // The promise rejects with EPIPE when the child was faster; there is nobody left to tell.
      void Promise.resolve(stdin.end()).catch(() => undefined);
    },
    kill() {
      child.kill("SIGKILL");
    },
  };
}
