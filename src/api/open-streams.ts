/** Counts the log streams that clients follow. */
export class OpenStreams {
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The same steps, counted from the first one that is asked for until the last, or until nobody wants more. */
  async *counted<T, End>(steps: AsyncGenerator<T, End>): AsyncGenerator<T, End> {
    this.#count += 1;
    try {
      return yield* steps;
    } finally {
      this.#count -= 1;
    }
  }
}
