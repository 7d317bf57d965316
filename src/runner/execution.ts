import { messageOf } from "../errors.ts";
import { repeat, type Service } from "../lifecycle.ts";
import type { InstalledRuntime } from "../runtimes/runtime.ts";
import type { Sandbox, SandboxStatus } from "../sandbox/sandbox.ts";

/** A sandbox that is not ready is tried again this often: the operator may have mended what it named. */
const RETRY_INTERVAL_MS = 30_000;

/** A sandbox, and how to give back what it holds on the host. */
interface OpenSandbox {
  readonly sandbox: Sandbox;
  close(): Promise<void>;
}

export interface ExecutionParts {
  readonly driver: SandboxStatus["driver"];
  readonly openSandbox: () => Promise<OpenSandbox>;
  readonly findRuntimes: (sandbox: Sandbox) => Promise<readonly InstalledRuntime[]>;
  readonly createRunner: (sandbox: Sandbox, installed: readonly InstalledRuntime[]) => Service;
  readonly report: (message: string) => void;
  readonly retryIntervalMs?: number;
}

/** The part of a worker that needs the sandbox. */
export interface Execution extends Service {
  /** What the last self-test said. */
  status(): SandboxStatus;
  /** What jobs can be run with; empty until the sandbox is ready. */
  runtimes(): readonly InstalledRuntime[];
}

/**
 * Gets the sandbox ready, then finds the runtimes in it, then runs jobs. While the sandbox is not ready no job is
 * claimed, and the service stays up to say why. start() resolves after the first try.
 */
export function createExecution(parts: ExecutionParts): Execution {
  const stopping = new AbortController();
  let status: SandboxStatus = notReady(parts.driver, "The sandbox has not been tested yet.");
  let installed: readonly InstalledRuntime[] = [];
  let opened: OpenSandbox | undefined;
  let runner: Service | undefined;
  let trying: Promise<void> = Promise.resolve();

  const tryOnce = async () => {
    opened ??= await parts.openSandbox();
    const tested = await opened.sandbox.selfTest();
    if (!tested.ready) {
      status = tested;
      parts.report(`No job can run: ${tested.problems.join(" ")}`);
      return;
    }
    installed = await parts.findRuntimes(opened.sandbox);
    if (stopping.signal.aborted) return;
    runner = parts.createRunner(opened.sandbox, installed);
    await runner.start();
    status = tested;
    parts.report(`Runtimes: ${installed.map(({ name }) => name).join(", ") || "none found"}`);
  };

  const tryUntilReady = async (firstTried: () => void) => {
    const done = new AbortController();
    await repeat(
      async () => {
        await tryOnce();
        if (runner !== undefined) done.abort();
        firstTried();
      },
      {
        intervalMs: parts.retryIntervalMs ?? RETRY_INTERVAL_MS,
        signal: AbortSignal.any([stopping.signal, done.signal]),
        onError: (error) => {
          status = notReady(parts.driver, `The sandbox cannot be made ready: ${messageOf(error)}`);
          parts.report(status.problems.join(" "));
          firstTried();
        },
      },
    );
  };

  return {
    name: "execution",
    status: () => status,
    runtimes: () => installed,
    async start() {
      const first = Promise.withResolvers<void>();
      trying = tryUntilReady(first.resolve);
      await first.promise;
    },
    async stop() {
      stopping.abort();
      await trying;
      await runner?.stop();
      await opened?.close();
    },
  };
}

function notReady(driver: SandboxStatus["driver"], problem: string): SandboxStatus {
  return { driver, ready: false, problems: [problem], gaps: [], cgroup: null, seccomp: false };
}
