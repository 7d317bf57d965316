import { AppError } from "../errors.ts";

/** Counts the log streams that clients follow, and bounds them: each holds memory and a connection of this process. */
export class OpenStreams {
  readonly #max: number;
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get count(): number {
    return this.#count;
  }

  /**
   * Takes a place for a stream. The function that it gives is to be called when the stream is over, and may be called again.
   * @throws AppError `too_many_streams` when there is no place.
   */
  enter(): () => void {
    if (this.#count >= this.#max)
      throw new AppError(
        "too_many_streams",
        `This server follows as many log streams as it may (MAX_STREAMS is ${this.#max}): try again later, or read what was printed so far at /jobs/{id}/logs.`,
      );
    this.#count += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#count -= 1;
    };
  }
}
