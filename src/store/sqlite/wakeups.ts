/**
 * Waits of one process for what the same process does. A wait that begins before a wake-up hears it; to one that begins
 * after it, `isDue` tells what it has missed.
 */
export class Wakeups {
  readonly #waiters = new Map<string, Set<() => void>>();
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
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => {
      resolve();
    };
    const waiters = this.#waiters.get(topic) ?? new Set();
    this.#waiters.set(topic, waiters.add(wake));
    const timer = setTimeout(wake, request.timeoutMs);
    signal.addEventListener("abort", wake);
    // Asked only once the wait is registered: a wake-up between the two is heard, not lost.
    const wakeIfDue = async () => {
      if (await request.isDue()) wake();
    };
    wakeIfDue().catch(() => undefined);
    await promise;
    clearTimeout(timer);
    signal.removeEventListener("abort", wake);
    waiters.delete(wake);
    if (waiters.size === 0 && this.#waiters.get(topic) === waiters) this.#waiters.delete(topic);
  }

  wake(topic: string): void {
    for (const wake of this.#waiters.get(topic) ?? []) wake();
  }

  /** Ends every wait, and every later one at once. */
  close(): void {
    this.#isClosed = true;
    for (const topic of this.#waiters.keys()) this.wake(topic);
  }
}
