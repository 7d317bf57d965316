import { AppError } from "../errors.ts";

/**
 * Counts the clients that read logs or wait for a job's end, and bounds them: each holds memory and a connection of this
 * process. Those that follow a log are told when the process closes.
 */
export class OpenStreams {
  readonly #max: number;
  /** Fires when the process closes. */
  readonly closing: AbortSignal;
  /** One set for all, and one listener: a signal made of several, for each of thousands of streams, takes a kilobyte. */
  readonly #streams = new Set<AbortController>();
  #requests = 0;

  /** `closing` fires when the process's last job has ended or was handed back: streams end once they have said all there is. */
  constructor(max: number, closing: AbortSignal) {
    this.#max = max;
    this.closing = closing;
    const stopAll = () => {
      for (const stop of this.#streams) stop.abort();
    };
    closing.addEventListener("abort", stopAll, { once: true });
  }

  /** How many clients follow a log. */
  get count(): number {
    return this.#streams.size;
  }

  /**
   * Takes a place for a stream, of which `stop` is aborted when the process closes. To be left when the stream is over.
   * @throws AppError `too_many_streams` when there is no place.
   */
  enter(stop: AbortController): void {
    this.#checkPlace();
    this.#streams.add(stop);
    if (this.closing.aborted) stop.abort();
  }

  /** Idempotent. */
  leave(stop: AbortController): void {
    this.#streams.delete(stop);
  }

  /**
   * As enter, for a client that is sent what a log holds, or waits for a job's end. The function that it gives is to be called
   * when it is answered, and may be called again.
   */
  enterRequest(): () => void {
    this.#checkPlace();
    this.#requests += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#requests -= 1;
    };
  }

  /** As enterRequest, for who can do without: null when there is no place. */
  tryEnterRequest(): (() => void) | null {
    return this.#isFull ? null : this.enterRequest();
  }

  get #isFull(): boolean {
    return this.#streams.size + this.#requests >= this.#max;
  }

  #checkPlace(): void {
    if (!this.#isFull) return;
    throw new AppError(
      "too_many_streams",
      `As many clients read a log, live or as it is, or wait for a job's end as this server has room for (MAX_STREAMS is ${this.#max}): try again later.`,
    );
  }
}
