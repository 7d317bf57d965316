import { setTimeout as delay } from "node:timers/promises";
import { Redis, type RedisOptions } from "ioredis";
import { AppError, messageOf } from "../../errors.ts";
import { callScript, type ScriptName } from "./scripts.ts";

/** How long one answer may take. After it the step counts as unknown: it may still happen. */
const COMMAND_TIMEOUT_MS = 2_000;
/** How long a step is tried again before its caller is told that the store is unavailable. */
const RETRY_WINDOW_MS = 5_000;
/** Between two tries on a connection that stayed up, e.g. while the server loads its data. */
const RETRY_PAUSE_MS = 25;

/**
 * Replies by which a server says that it cannot serve now, though it may soon (Redis: `src/server.c`, shared error
 * objects).
 */
const PASSING_REPLIES = [
  "LOADING",
  "MASTERDOWN",
  "CLUSTERDOWN",
  "TRYAGAIN",
  "READONLY",
  "NOREPLICAS",
  "BUSY",
];

/**
 * Back-off between connection attempts: 50 ms doubling to 250 ms. A worker that came back much later than the others would
 * lose its jobs: they count its silence from when the first of them is back.
 */
export function reconnectDelayMs(attempt: number): number {
  return Math.min(250, 25 * 2 ** Math.min(attempt, 10));
}

/** What every connection of ours has in common. */
export const COMMON_OPTIONS = {
  // RESP2: replies have the same shapes on every server version; nothing here needs RESP3.
  protocol: 2,
  disableClientInfo: true,
  // With a retry count or a resend ioredis repeats writes whose reply was lost, or never settles their promises. Our
  // own retry repeats whole steps, each of which is idempotent.
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  connectTimeout: COMMAND_TIMEOUT_MS,
  // A peer that does not answer does not close either.
  disconnectTimeout: 100,
  maxLoadingRetryTime: 250,
} as const satisfies RedisOptions;

/** The connection on which all but waiting is done. */
export class DataConnection {
  readonly #client: Redis;
  readonly #server: string;
  readonly #woken = new Set<() => void>();
  #closed = false;
  /** Counts connections, so that of many calls that time out on one only the first gives it up. */
  #generation = 0;
  #lastError = "";

  constructor(url: string) {
    this.#server = serverOf(url);
    this.#client = new Redis(url, {
      ...COMMON_OPTIONS,
      commandTimeout: COMMAND_TIMEOUT_MS,
      retryStrategy: (attempt) => (this.#closed ? null : reconnectDelayMs(attempt)),
    });
    // Without a listener a lost connection would end the process.
    this.#client.on("error", (error: unknown) => {
      this.#lastError = messageOf(error);
      if (refusesAccess(this.#lastError)) this.#wakeAll();
    });
    this.#client.on("ready", () => {
      this.#generation += 1;
      this.#lastError = "";
      this.#wakeAll();
    });
  }

  /** Grows with every connection that was made. */
  get generation(): number {
    return this.#generation;
  }

  /**
   * Does an idempotent step; when no answer comes it is done again, for a few seconds. Throws AppError
   * `store_unavailable`, `storage_full` (maxmemory reached, or the server cannot write its disk) or `internal`.
   */
  async run<T>(step: (client: Redis) => Promise<T>): Promise<T> {
    const deadlineMs = performance.now() + RETRY_WINDOW_MS;
    let isUnknown = false;
    for (;;) {
      await this.#untilReady(deadlineMs);
      const generation = this.#generation;
      try {
        return await step(this.#client);
      } catch (error) {
        try {
          this.#noteFailure(error, generation);
        } catch (final) {
          // A refusal now says nothing of an earlier try that got no answer: the step may have happened.
          throw isUnknown ? this.#unavailable(final) : final;
        }
        isUnknown ||= !(error instanceof Error && error.name === "ReplyError");
        if (performance.now() + RETRY_PAUSE_MS >= deadlineMs) throw this.#unavailable(error);
      }
      await delay(RETRY_PAUSE_MS);
    }
  }

  /** Does a step once, now, or throws as run does. */
  async attempt<T>(step: (client: Redis) => Promise<T>): Promise<T> {
    if (this.#closed || this.#client.status !== "ready") throw this.#unavailable();
    const generation = this.#generation;
    try {
      return await step(this.#client);
    } catch (error) {
      this.#noteFailure(error, generation);
      throw this.#unavailable(error);
    }
  }

  /** Runs a script as a step. */
  async script(
    name: ScriptName,
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
  ): Promise<unknown> {
    return await this.run(async (client) => await callScript(client, name, keys, args));
  }

  /** Later calls, and those in flight, reject with `store_unavailable`. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#client.disconnect();
    this.#wakeAll();
  }

  /** Returns when the step may be tried again; throws when it has failed for good. */
  #noteFailure(error: unknown, generation: number): void {
    const message = messageOf(error);
    if (this.#closed) throw this.#unavailable(error);
    if (error instanceof Error && error.name === "ReplyError") {
      if (!PASSING_REPLIES.some((word) => message.startsWith(word)))
        throw translateReply(message, error);
      // A demoted master keeps its connections; a new one may reach its successor.
      if (message.startsWith("READONLY")) this.#giveUp(generation);
    } else if (message === "Command timed out") {
      // The peer may be gone without a word: only a new connection can tell.
      this.#giveUp(generation);
    }
    this.#lastError = message;
  }

  #giveUp(generation: number): void {
    if (generation === this.#generation && this.#client.status === "ready")
      this.#client.disconnect(true);
  }

  async #untilReady(deadlineMs: number): Promise<void> {
    while (!this.#closed && this.#client.status !== "ready") {
      const leftMs = deadlineMs - performance.now();
      // A wrong password does not become right by waiting.
      if (leftMs <= 0 || refusesAccess(this.#lastError)) throw this.#unavailable();
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, leftMs);
      this.#woken.add(resolve);
      await promise;
      this.#woken.delete(resolve);
      clearTimeout(timer);
    }
    if (this.#closed) throw this.#unavailable();
  }

  #wakeAll(): void {
    for (const wake of this.#woken) wake();
  }

  #unavailable(cause?: unknown): AppError {
    if (this.#closed) return new AppError("store_unavailable", "The store is closed", { cause });
    const why = this.#lastError === "" ? "no answer" : this.#lastError;
    return new AppError("store_unavailable", `Redis at ${this.#server} is unavailable: ${why}`, {
      cause,
    });
  }
}

function refusesAccess(message: string): boolean {
  return ["NOAUTH", "WRONGPASS", "NOPERM"].some((word) => message.startsWith(word));
}

function translateReply(message: string, cause: Error): AppError {
  if (message.startsWith("OOM"))
    return new AppError("storage_full", "Redis has reached its maxmemory", { cause });
  // Redis refuses writes while it cannot persist them (stop-writes-on-bgsave-error, a failing AOF).
  if (message.startsWith("MISCONF"))
    return new AppError("storage_full", "Redis cannot write to its disk", { cause });
  if (refusesAccess(message))
    return new AppError("store_unavailable", `Redis refuses access: ${message}`, { cause });
  return new AppError("internal", `Redis answered: ${message}`, { cause });
}

/** Host and port of a URL, for messages: never its password. */
function serverOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : "the given address";
}
