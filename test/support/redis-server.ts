import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, rename, rm } from "node:fs/promises";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** A real redis-server on a port and in a directory of its own. */
export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** Where it writes its files. */
  readonly directory: string;
  readonly pid: () => number;
  /** SIGKILL: what was not on disk is gone. Resolves when the process is. */
  kill9(): Promise<void>;
  /** Starts it again after kill9, on the same port and data. Resolves when it answers. */
  restart(): Promise<void>;
  /**
   * Takes a copy of its append-only file as it is now. crash() kills it and starts it again, `downMs` later, with that
   * copy: what came after is gone, as when its host dies. A copy that is not used is to be forgotten.
   */
  prepareHostCrash(): Promise<{
    readonly ageMs: () => number;
    crash(downMs: number): Promise<void>;
    forget(): Promise<void>;
  }>;
  /** Ends it and removes its directory. */
  stop(): Promise<void>;
}

export interface RedisServerOptions {
  /** When to write the append-only file; without it, nothing is on disk but what a SAVE writes. */
  readonly appendFsync?: "always" | "everysec";
  /** More of redis-server's own settings, e.g. `{"maxmemory-policy": "allkeys-lru"}`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Of the system, not of a package. */
const PROGRAM = "redis-server";

/** Between two tries to connect to a server that is starting; it says nothing that could be waited for instead. */
const CONNECT_PAUSE_MS = 10;
const START_TIMEOUT_MS = 10_000;

/**
 * Whether the tests that need redis-server can run. Without it they are skipped, and say what to install; in CI
 * (CI=true) its absence is an error.
 */
export function hasRedisServer(): boolean {
  if (spawnSync(PROGRAM, ["--version"]).status === 0) return true;
  const remedy =
    "redis-server is not installed (Debian, Fedora and Alpine: package redis-server or redis)";
  if (process.env["CI"] === "true") throw new Error(remedy);
  console.warn(`Skipping the tests on Redis: ${remedy}`);
  return false;
}

const running = new Set<ChildProcess>();
// A test run that ends early leaves no server behind.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export async function startRedisServer(options: RedisServerOptions = {}): Promise<RedisServer> {
  const directory = await mkdtemp(join(tmpdir(), "redis-server-"));
  const port = await freePort();
  const flags = Object.entries({
    port: port.toString(),
    bind: "127.0.0.1",
    dir: directory,
    save: "",
    appendonly: options.appendFsync === undefined ? "no" : "yes",
    appendfsync: options.appendFsync ?? "no",
    ...options.settings,
  }).flatMap(([name, value]) => [`--${name}`, value]);
  let child = await launch(flags, port);
  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  };
  return {
    url: `redis://127.0.0.1:${port.toString()}`,
    port,
    directory,
    pid: () => child.pid ?? 0,
    kill9: async () => await kill("SIGKILL"),
    restart: async () => {
      child = await launch(flags, port);
    },
    prepareHostCrash: async () => {
      const [aof, copy] = [join(directory, "appendonlydir"), join(directory, "copy")];
      const takenAtMs = performance.now();
      await cp(aof, copy, { recursive: true });
      return {
        ageMs: () => performance.now() - takenAtMs,
        crash: async (downMs) => {
          await kill("SIGKILL");
          await delay(downMs);
          await rm(aof, { recursive: true });
          await rename(copy, aof);
          child = await launch(flags, port);
        },
        forget: () => rm(copy, { recursive: true }),
      };
    },
    stop: async () => {
      // Not SIGTERM, which a stopped process (SIGSTOP) does not see; nothing here outlives the test anyway.
      await kill("SIGKILL");
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function launch(flags: readonly string[], port: number): Promise<ChildProcess> {
  const child = spawn(PROGRAM, flags, { stdio: ["ignore", "pipe", "inherit"] });
  running.add(child);
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.once("exit", () => running.delete(child));
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  while (!(await answersPing(port))) {
    if (child.exitCode !== null || performance.now() > deadlineMs) {
      child.kill("SIGKILL");
      throw new Error(`redis-server did not start:\n${output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, CONNECT_PAUSE_MS));
  }
  return child;
}

/** Whether a server is there and has loaded its data: until then it answers PING with -LOADING. */
async function answersPing(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = createConnection(port, "127.0.0.1", () => socket.write("PING\r\n"));
  socket.on("data", (answer: Buffer) => resolve(/^\+PONG|^-NOAUTH/u.test(answer.toString())));
  socket.on("error", () => resolve(false));
  socket.on("close", () => resolve(false));
  const answer = await promise;
  socket.destroy();
  return answer;
}

/** Below the ports that Linux gives to outgoing connections (ip_local_port_range, 32768 and up). */
const [FIRST_PORT, LAST_PORT] = [10_000, 32_000];

/**
 * A port that is free now. No connection that somebody opens can take it before its server does, also one that is
 * restarted; only another test could.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
    const server = createServer().listen(port, "127.0.0.1");
    const isFree = await once(server, "listening").then(
      () => true,
      () => false,
    );
    server.close();
    if (!isFree) continue;
    await once(server, "close");
    return port;
  }
}
