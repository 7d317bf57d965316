import type { Egress } from "../egress/egress.ts";
import { messageOf } from "../errors.ts";
import { repeat, type Service } from "../lifecycle.ts";
import type { Logger } from "../logger.ts";
import type { InstalledRuntime } from "../runtimes/runtime.ts";
import type { Sandbox, SandboxStatus } from "../sandbox/sandbox.ts";
import { createGate, type Gate } from "./gate.ts";
import { guardSandbox } from "./guarded-sandbox.ts";

/** A sandbox that is not ready is tried again this often: the operator may have mended what it named. */
const RETRY_INTERVAL_MS = 30_000;

/** A sandbox, and how to give back what it holds on the host. */
export interface OpenSandbox {
  readonly sandbox: Sandbox;
  /** The ways out of its guests. */
  readonly egress: Egress;
  /** Tries the languages of this machine in it. */
  findRuntimes(): Promise<readonly InstalledRuntime[]>;
  close(): Promise<void>;
}

export interface ExecutionParts {
  readonly driver: SandboxStatus["driver"];
  readonly openSandbox: () => Promise<OpenSandbox>;
  /** `ready` is closed while the sandbox is not ready: no job is to be claimed then. */
  readonly createRunner: (
    opened: Pick<OpenSandbox, "sandbox" | "egress">,
    installed: readonly InstalledRuntime[],
    ready: Gate,
  ) => Service;
  readonly log: Logger;
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
 * claimed, and the service stays up to say why; so too when it breaks later. start() resolves after the first try.
 */
export function createExecution(parts: ExecutionParts): Execution {
  return new SandboxedExecution(parts);
}

class SandboxedExecution implements Execution {
  readonly name = "execution";
  readonly #parts: ExecutionParts;
  readonly #stopping = new AbortController();
  readonly #gate = createGate();
  #status: SandboxStatus;
  #installed: readonly InstalledRuntime[] = [];
  #opened: OpenSandbox | undefined;
  /** The problem that the operator knows of. */
  #said = "";
  #runner: Service | undefined;
  #trying: Promise<void> = Promise.resolve();

  constructor(parts: ExecutionParts) {
    this.#parts = parts;
    const problem = "The sandbox has not been tested yet.";
    this.#status = { ...notReady(parts.driver, problem), isUntested: true };
  }

  status(): SandboxStatus {
    return this.#status;
  }

  runtimes(): readonly InstalledRuntime[] {
    return this.#installed;
  }

  async start(): Promise<void> {
    const first = Promise.withResolvers<void>();
    this.#trying = this.#tryUntilReady(first.resolve);
    await first.promise;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#trying;
    await this.#runner?.stop();
    await this.#opened?.close();
  }

  async #tryUntilReady(firstTried: () => void): Promise<void> {
    const { driver, retryIntervalMs = RETRY_INTERVAL_MS } = this.#parts;
    const done = new AbortController();
    await repeat(
      async () => {
        await this.#tryOnce();
        if (this.#status.ready) done.abort();
        firstTried();
      },
      {
        intervalMs: retryIntervalMs,
        signal: AbortSignal.any([this.#stopping.signal, done.signal]),
        onError: (error) => {
          this.#refuse(notReady(driver, `The sandbox cannot be made ready: ${messageOf(error)}`));
          firstTried();
        },
      },
    );
  }

  async #tryOnce(): Promise<void> {
    this.#opened ??= await this.#parts.openSandbox();
    const { sandbox } = this.#opened;
    const tested = await sandbox.selfTest();
    if (!tested.ready) {
      this.#refuse(tested);
      return;
    }
    const isFirst = this.#runner === undefined;
    if (isFirst) await this.#startRunner(this.#opened);
    this.#status = tested;
    this.#said = "";
    this.#gate.open();
    const { log } = this.#parts;
    const names = this.#installed.map(({ name }) => name).join(", ");
    if (isFirst) log.info("runtimes_found", `Runtimes: ${names || "none found"}`);
    else log.info("sandbox_ready_again", "The sandbox is ready again.");
  }

  async #startRunner(opened: OpenSandbox): Promise<void> {
    this.#installed = await opened.findRuntimes();
    if (this.#stopping.signal.aborted) return;
    const { egress } = opened;
    const sandbox = guardSandbox(opened.sandbox, (status) => this.#onBroken(status));
    this.#runner = this.#parts.createRunner({ sandbox, egress }, this.#installed, this.#gate);
    await this.#runner.start();
  }

  #onBroken(problem: SandboxStatus): void {
    // Several jobs may meet it at once; one round of tries is enough.
    if (!this.#status.ready) return;
    this.#refuse(problem);
    this.#trying = this.#trying.then(() => this.#tryUntilReady(() => undefined));
  }

  #refuse(problem: SandboxStatus): void {
    this.#gate.close();
    const text = problem.problems.join(" ");
    // Every later try finds the same, and says it to those alone who want to know of each.
    const level = text === this.#said ? "debug" : "error";
    this.#said = text;
    this.#status = problem;
    this.#parts.log[level]("sandbox_not_ready", `No job can run: ${text}`);
  }
}

function notReady(driver: SandboxStatus["driver"], problem: string): SandboxStatus {
  return { driver, ready: false, problems: [problem], gaps: [], cgroup: null, seccomp: false };
}
