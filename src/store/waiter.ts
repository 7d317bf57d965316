/** A caller that waits, and the way to wake it. */
export interface Waiter {
  /** Resolves once: when woken, when the time is over or when the signal fires. Never rejects. */
  readonly done: Promise<void>;
  /** Idempotent. */
  readonly wake: () => void;
}

/**
 * Starts a wait of at most `timeoutMs`, with a signal that has not fired yet. `onDone` runs before `done` resolves, and
 * again when the waiter is woken again: it takes the waiter off its list. Never before this function has returned.
 */
export function startWaiting(timeoutMs: number, signal: AbortSignal, onDone: () => void): Waiter {
  const { promise, resolve } = Promise.withResolvers<void>();
  const wake = (): void => {
    clearTimeout(timer);
    signal.removeEventListener("abort", wake);
    onDone();
    resolve();
  };
  const timer = setTimeout(wake, timeoutMs);
  signal.addEventListener("abort", wake, { once: true });
  return { done: promise, wake };
}
