import { AppError } from "../errors.ts";

/**
 * Counts the clients that read logs or wait for a job's end, and bounds them: each holds memory and a connection of this
 * process. Those that follow a log are told when the process closes.
 */
export class OpenStreams {
  readonly #max: number;
  /** Fires when the process closes. */
  readonly closing: AbortSignal;
  /** One map for all, and one listener: a signal made of several, for each of thousands of streams, takes a kilobyte. */
  readonly #streams = new Map<AbortController, string | null>();
  /** Places that are taken, by API key. */
  readonly #taken = new Map<string, number>();
  #requests = 0;

  /** `closing` fires when the process's last job has ended or was handed back: streams end once they have said all there is. */
  constructor(max: number, closing: AbortSignal) {
    this.#max = max;
    this.closing = closing;
    const stopAll = () => {
      for (const stop of this.#streams.keys()) stop.abort();
    };
    closing.addEventListener("abort", stopAll, { once: true });
  }

  /** How many clients follow a log. */
  get count(): number {
    return this.#streams.size;
  }

  /**
   * Takes a place for a stream, of which `stop` is aborted when the process closes. To be left when the stream is over. One
   * API key (null: none) takes no more than half of the places, and leaves the others to the others.
   * @throws AppError `too_many_streams` when there is no place.
   */
  enter(stop: AbortController, keyId: string | null): void {
    this.#checkPlace(keyId);
    this.#streams.set(stop, keyId);
    this.#take(keyId, 1);
    if (this.closing.aborted) stop.abort();
  }

  /** Idempotent. */
  leave(stop: AbortController): void {
    const keyId = this.#streams.get(stop);
    if (keyId === undefined) return;
    this.#streams.delete(stop);
    this.#take(keyId, -1);
  }

  /**
   * As enter, for a client that is sent what a log holds, or waits for a job's end. The function that it gives is to be called
   * when it is answered, and may be called again.
   */
  enterRequest(keyId: string | null): () => void {
    this.#checkPlace(keyId);
    this.#requests += 1;
    this.#take(keyId, 1);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#requests -= 1;
      this.#take(keyId, -1);
    };
  }

  /** As enterRequest, for who can do without: null when there is no place. */
  tryEnterRequest(keyId: string | null): (() => void) | null {
    return this.#isFullFor(keyId) ? null : this.enterRequest(keyId);
  }

  #isFullFor(keyId: string | null): boolean {
    const ofKey = keyId === null ? 0 : (this.#taken.get(keyId) ?? 0);
    return this.#streams.size + this.#requests >= this.#max || ofKey >= Math.ceil(this.#max / 2);
  }

  #take(keyId: string | null, change: 1 | -1): void {
    if (keyId === null) return;
    const taken = (this.#taken.get(keyId) ?? 0) + change;
    if (taken > 0) this.#taken.set(keyId, taken);
    else this.#taken.delete(keyId);
  }

  #checkPlace(keyId: string | null): void {
    if (!this.#isFullFor(keyId)) return;
    throw new AppError(
      "too_many_streams",
      `As many clients read a log, live or as it is, or wait for a job's end as this server has room for (MAX_STREAMS is ${this.#max}, of which an API key has half): try again later.`,
    );
  }
}
