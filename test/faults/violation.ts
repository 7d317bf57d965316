/** The promises that a fault may break; the columns of the suite's table. */
export const VIOLATIONS = ["loss", "duplicate", "gap", "orphan"] as const;

/** A broken promise, with what was seen. */
export class Violation extends Error {
  override readonly name = "Violation";
  /**
   * loss: something acknowledged is gone, or does not come to an end. duplicate: something is there twice, or ran again
   * although it must not. gap: a log is not what the program wrote. orphan: something of an ended job is left.
   */
  readonly kind: (typeof VIOLATIONS)[number];

  constructor(kind: (typeof VIOLATIONS)[number], message: string) {
    super(`${kind}: ${message}`);
    this.kind = kind;
  }
}
