/**
 * The waits of one reader, one at a time. A wait that is ended early leaves its timer and its listener to the next: with
 * a thousand readers of a log that grows a hundred times a second, to make these anew is most of what a server does.
 */
export class Patience {
  #signal: AbortSignal | null = null;
  #timer: NodeJS.Timeout | null = null;
  #timerAtMs = 0;
  #endsAtMs = 0;
  /** Ends the wait that is under way. */
  #end: (() => void) | null = null;

  /** Resolves when woken, after `timeoutMs`, or when `signal` fires; at once where it has fired. Never rejects. */
  wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#end = resolve;
    this.#listenTo(signal);
    this.#endsAtMs = performance.now() + timeoutMs;
    if (this.#timer === null || this.#timerAtMs > this.#endsAtMs) this.#setTimer(timeoutMs);
    return promise;
  }

  readonly wake = (): void => {
    const end = this.#end;
    this.#end = null;
    end?.();
  };

  /** Gives the timer and the listener back. Another wait may follow. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#signal?.removeEventListener("abort", this.wake);
    this.#signal = null;
  }

  #listenTo(signal: AbortSignal): void {
    if (signal === this.#signal) return;
    this.#signal?.removeEventListener("abort", this.wake);
    this.#signal = signal;
    signal.addEventListener("abort", this.wake);
  }

  #setTimer(timeoutMs: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timerAtMs = performance.now() + timeoutMs;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#end === null) return;
      const leftMs = this.#endsAtMs - performance.now();
      // Set for an earlier wait than this one.
      if (leftMs >= 1) this.#setTimer(leftMs);
      else this.wake();
    }, timeoutMs);
  }
}
