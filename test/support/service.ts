import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A service under test: a real process of this repository's entry point. */
export interface RunningService {
  readonly url: string;
  readonly pid: number;
  readonly dataDir: string;
  /** Resolves to the exit code when the process is gone, however it ended. */
  readonly exited: Promise<number>;
  /** Everything it has written to stderr so far. */
  output(): string;
  /** Resolves once its output matches; rejects when it ends without. */
  said(pattern: RegExp): Promise<RegExpExecArray>;
  /** SIGTERM; resolves to the exit code. */
  stop(): Promise<number>;
  /** SIGKILL; resolves when the process is gone. */
  kill9(): Promise<void>;
}

export interface ServiceOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** The data directory of an earlier service; a fresh one when absent. */
  readonly dataDir?: string;
  /** What it is started as, where that is not simply a child of the test. */
  readonly startAs?: StartAs;
}

/** A way to start a service by another program. */
export interface StartAs {
  /** A command that takes the service's own as its last arguments and becomes it, or its parent: setpriv, bwrap. */
  readonly prefix: readonly string[];
  /** The directory that holds src/, as the service sees it. */
  readonly root: string;
  /** The bun that the service can reach. */
  readonly bun: string;
}

/** The directory that holds src/. */
export const ROOT = join(import.meta.dir, "..", "..");

export async function freshDataDir(): Promise<string> {
  return join(await mkdtemp(join(tmpdir(), "job-runner-test-")), "jobs");
}

export async function removeDataDir(dataDir: string): Promise<void> {
  await rm(join(dataDir, ".."), { recursive: true, force: true });
}

/** Starts `bun run src/main.ts` on a free port; resolves once it says that it listens, rejects with its output if it ends. */
export async function startService(options: ServiceOptions = {}): Promise<RunningService> {
  const dataDir = options.dataDir ?? (await freshDataDir());
  const child = startProcess("src/main.ts", { ...options, dataDir });
  const line = await child.said(/Listening on (http:\S+)\//);
  const pid = pidBelowBubblewrap(child.pid);
  let hasEnded = false;
  void child.exited.finally(() => {
    hasEnded = true;
  });
  return {
    ...child,
    pid,
    dataDir,
    url: line[1] ?? "",
    async stop() {
      process.kill(pid, "SIGTERM");
      return child.exited;
    },
    async kill9() {
      // Without the bubblewrap around it the service would live on, while that ends with the service.
      if (pid === child.pid) return child.kill9();
      if (!hasEnded) process.kill(pid, "SIGKILL");
      await child.exited;
    },
  };
}

/** bubblewrap stays as the parent, and again as process 1 of a namespace: the service is the first below that is none. */
function pidBelowBubblewrap(pid: number): number {
  if (readFileSync(`/proc/${pid}/comm`, "utf8").trim() !== "bwrap") return pid;
  return pidBelowBubblewrap(
    Number.parseInt(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8"), 10),
  );
}

/** Starts `bun run src/worker.ts`; resolves once it says that it works. */
export async function startWorker(
  options: ServiceOptions & { readonly dataDir: string },
): Promise<Omit<RunningService, "url">> {
  const child = startProcess("src/worker.ts", options);
  await child.said(/Working \(store/);
  return { ...child, dataDir: options.dataDir };
}

function startProcess(
  entry: string,
  { env = {}, dataDir, startAs }: ServiceOptions & { readonly dataDir: string },
) {
  const { prefix, root, bun } = startAs ?? { prefix: [], root: ROOT, bun: process.execPath };
  const child = Bun.spawn([...prefix, bun, "run", join(root, entry)], {
    cwd: root,
    env: {
      PATH: process.env["PATH"] ?? "",
      HOME: process.env["HOME"] ?? "",
      PORT: "0",
      JOB_DATA_DIR: dataDir,
      // What most tests run: to try every language takes each of a hundred services a second of both cores.
      LANGUAGES: "python,node,bun,bash,sh,c",
      ...env,
    },
    stdin: "ignore",
    stdout: "inherit",
    stderr: "pipe",
  });
  let output = "";
  let changed = Promise.withResolvers<void>();
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) {
      output += decoder.decode(chunk, { stream: true });
      changed.resolve();
      changed = Promise.withResolvers();
    }
  })();
  return {
    pid: child.pid,
    exited: child.exited,
    output: () => output,
    async said(pattern: RegExp): Promise<RegExpExecArray> {
      for (;;) {
        const match = pattern.exec(output);
        if (match !== null) return match;
        const ended = await Promise.race([changed.promise, reading.then(() => "ended" as const)]);
        if (ended === "ended" && pattern.exec(output) === null)
          throw new Error(`${entry} ended with ${await child.exited}: ${output}`);
      }
    },
    async stop() {
      child.kill("SIGTERM");
      return child.exited;
    },
    async kill9() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}
