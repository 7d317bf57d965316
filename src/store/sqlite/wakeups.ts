import { startWaiting } from "../waiter.ts";

/** Ends one wait, and tells it why. */
type Listener<News> = (news: News | null) => void;

/**
 * Waits of one process for what the same process does. A wait that begins before a wake-up hears it; to one that begins
 * after it, `isDue` tells what it has missed.
 */
export class Wakeups<News> {
  readonly #listeners = new Map<string, Set<Listener<News>>>();
  #isClosed = false;

  /**
   * Resolves when `topic` is woken, to the news that came with it; to null when there were none, when `isDue` finds that
   * there is nothing to wait for, after `timeoutMs`, when `signal` fires, or at close. Never rejects: a failing `isDue`
   * leaves the other ways to end.
   */
  async wait(
    topic: string,
    request: { readonly timeoutMs: number; readonly isDue: () => Promise<boolean> },
    signal: AbortSignal,
  ): Promise<News | null> {
    if (this.#isClosed || signal.aborted) return null;
    let heard: News | null = null;
    const listeners = this.#listeners.get(topic) ?? new Set();
    const waiter = startWaiting(request.timeoutMs, signal, () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(topic) === listeners)
        this.#listeners.delete(topic);
    });
    const listener: Listener<News> = (news) => {
      heard = news;
      waiter.wake();
    };
    this.#listeners.set(topic, listeners.add(listener));
    // Asked only once the wait is registered: a wake-up between the two is heard, not lost.
    const wakeIfDue = async () => {
      if (await request.isDue()) waiter.wake();
    };
    wakeIfDue().catch(() => undefined);
    await waiter.done;
    return heard;
  }

  /** Ends the waits for `topic` that there are now. */
  wake(topic: string, news: News | null = null): void {
    for (const listener of this.#listeners.get(topic) ?? []) listener(news);
  }

  /** Ends every wait, and every later one at once. */
  close(): void {
    this.#isClosed = true;
    for (const topic of this.#listeners.keys()) this.wake(topic);
  }
}
