import { startWaiting, type Waiter } from "../waiter.ts";

/**
 * Waits of one process for what the same process does. A wait that begins before a wake-up hears it; to one that begins
 * after it, `isDue` tells what it has missed.
 */
export class Wakeups {
  readonly #waiters = new Map<string, Set<Waiter>>();
  #isClosed = false;

  /**
   * Resolves when `topic` is woken, when `isDue` finds that there is nothing to wait for, after `timeoutMs`, when
   * `signal` fires, or at close. Never rejects: a failing `isDue` leaves the other ways to end.
   */
  async wait(
    topic: string,
    request: { readonly timeoutMs: number; readonly isDue: () => Promise<boolean> },
    signal: AbortSignal,
  ): Promise<void> {
    if (this.#isClosed || signal.aborted) return;
    const waiters = this.#waiters.get(topic) ?? new Set();
    const waiter = startWaiting(request.timeoutMs, signal, () => {
      waiters.delete(waiter);
      if (waiters.size === 0 && this.#waiters.get(topic) === waiters) this.#waiters.delete(topic);
    });
    this.#waiters.set(topic, waiters.add(waiter));
    // Asked only once the wait is registered: a wake-up between the two is heard, not lost.
    const wakeIfDue = async () => {
      if (await request.isDue()) waiter.wake();
    };
    wakeIfDue().catch(() => undefined);
    await waiter.done;
  }

  /** Ends the waits for `topic` that there are now. */
  wake(topic: string): void {
    for (const waiter of this.#waiters.get(topic) ?? []) waiter.wake();
  }

  /** Ends every wait, and every later one at once. */
  close(): void {
    this.#isClosed = true;
    for (const topic of this.#waiters.keys()) this.wake(topic);
  }
}
