import { AppError } from "../errors.ts";

/**
 * Counts the clients that read logs, and bounds them: each holds memory and a connection of this process. Those that follow a
 * log are told when the process closes.
 */
export class OpenStreams {
  readonly #max: number;
  readonly #closing: AbortSignal;
  /** One set for all, and one listener: a signal made of several, for each of thousands of streams, takes a kilobyte. */
  readonly #streams = new Set<AbortController>();
  #snapshots = 0;

  /** `closing` fires when the process's last job has ended or was handed back: streams end once they have said all there is. */
  constructor(max: number, closing: AbortSignal) {
    this.#max = max;
    this.#closing = closing;
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
    if (this.#closing.aborted) stop.abort();
  }

  /** Idempotent. */
  leave(stop: AbortController): void {
    this.#streams.delete(stop);
  }

  /**
   * As enter, for a client that is sent what a log holds. The function that it gives is to be called when all is sent, and may
   * be called again.
   */
  enterSnapshot(): () => void {
    this.#checkPlace();
    this.#snapshots += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#snapshots -= 1;
    };
  }

  #checkPlace(): void {
    if (this.#streams.size + this.#snapshots < this.#max) return;
    throw new AppError(
      "too_many_streams",
      `This server sends as many logs as it may at a time, live or as they are (MAX_STREAMS is ${this.#max}): try again later.`,
    );
  }
}
