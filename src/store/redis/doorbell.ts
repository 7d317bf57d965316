import { startWaiting, type Waiter } from "../waiter.ts";
import { BLOCK_MS, BlockingConnection } from "./blocking-connection.ts";
import type { DataConnection } from "./connection.ts";

/**
 * Waits for work. Blocking and claiming are two things: this connection only takes a bell from the wake set, the claim is
 * a script on the data connection. A bell that a dying connection took along costs the callers one timeout, never a job.
 */
export class Doorbell {
  readonly #connection: BlockingConnection;
  readonly #data: DataConnection;
  readonly #wakeKey: string;
  readonly #waiters = new Set<Waiter>();
  #listening = false;
  #closed = false;

  constructor(options: {
    readonly url: string;
    readonly data: DataConnection;
    readonly wakeKey: string;
  }) {
    this.#connection = new BlockingConnection(options.url);
    this.#data = options.data;
    this.#wakeKey = options.wakeKey;
  }

  async wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (this.#closed || signal.aborted) return;
    const waiter = startWaiting(timeoutMs, signal, () => this.#waiters.delete(waiter));
    this.#waiters.add(waiter);
    if (!this.#listening) void this.#listen();
    await waiter.done;
  }

  close(): void {
    this.#closed = true;
    this.#connection.close();
    for (const waiter of this.#waiters) waiter.wake();
  }

  async #listen(): Promise<void> {
    this.#listening = true;
    while (this.#waiters.size > 0 && !this.#closed) {
      const bell = await this.#connection.use(
        async (client) => await client.bzpopmin(this.#wakeKey, BLOCK_MS / 1_000),
      );
      if (bell === null) continue;
      if (this.#waiters.size === 0) await this.#giveBack();
      // All of them: the claim that takes one job rings again while there are more, but a waiter may be about to leave.
      for (const waiter of this.#waiters) waiter.wake();
    }
    this.#listening = false;
  }

  /** The bell came after the last caller had left: another process may be waiting for it. */
  async #giveBack(): Promise<void> {
    // When this fails too, the others' timeouts find the work.
    await this.#data
      .attempt(async (client) => await client.zadd(this.#wakeKey, 0, "bell"))
      .catch(() => undefined);
  }
}
