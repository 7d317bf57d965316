import { setTimeout as delay } from "node:timers/promises";
import { Redis } from "ioredis";
import { COMMON_OPTIONS, reconnectDelayMs } from "./connection.ts";

/** Longest block of one command: what a bell or an entry that was lost on the way can cost. */
export const BLOCK_MS = 2_000;
/** An answer this late never comes: the peer has gone without closing (e.g. a dropped network). */
const WATCHDOG_MS = BLOCK_MS + 1_000;

/**
 * A connection for commands that block. It never reconnects by itself: after any failure, silence included, the client
 * is thrown away and the next use makes a new one, so that no state survives of which nobody knows how much is true.
 */
export class BlockingConnection {
  readonly #url: string;
  #client: Redis | null = null;
  #serverSideId: number | null = null;
  #failures = 0;
  #closed = false;
  readonly #closing = new AbortController();

  constructor(url: string) {
    this.#url = url;
  }

  /** The id by which CLIENT UNBLOCK knows the live connection; null while there is none. */
  get serverSideId(): number | null {
    return this.#serverSideId;
  }

  /** Connects if need be and makes one call that blocks for BLOCK_MS at most. null after a failure, and a back-off. */
  async use<T>(call: (client: Redis) => Promise<T>): Promise<T | null> {
    try {
      const answer = await call(await this.#connected());
      this.#failures = 0;
      return answer;
    } catch {
      this.#discard();
      this.#failures += 1;
      if (!this.#closed)
        await delay(reconnectDelayMs(this.#failures), undefined, {
          signal: this.#closing.signal,
        }).catch(() => undefined);
      return null;
    }
  }

  /** A call in flight fails at once. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#closing.abort();
    this.#discard();
  }

  async #connected(): Promise<Redis> {
    if (this.#closed) throw new Error("Closed");
    if (this.#client !== null && this.#serverSideId !== null) return this.#client;
    const client = new Redis(this.#url, {
      ...COMMON_OPTIONS,
      lazyConnect: true,
      commandTimeout: WATCHDOG_MS,
      retryStrategy: () => null,
    });
    client.on("error", ignoreError);
    this.#client = client;
    await client.connect();
    this.#serverSideId = await client.client("ID");
    return client;
  }

  #discard(): void {
    const client = this.#client;
    this.#client = null;
    this.#serverSideId = null;
    client?.disconnect();
  }
}

/** A failed call says the same; without a listener the event would end the process. */
function ignoreError(): void {}
