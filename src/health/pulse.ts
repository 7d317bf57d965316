/** A sign of life. Whoever works says by when it will have moved again; whoever watches sees that it has not. */
export interface Pulse {
  /** It has moved now, and will have moved again within `withinMs`; Infinity for a wait that may take any time. */
  beat(withinMs: number): void;
  /** Whether the time that the last beat gave has passed; false before the first. */
  isLate(): boolean;
}

/** A pulse that has not beaten yet. It goes by the monotonic clock. */
export function createPulse(): Pulse {
  let dueAtMs = Number.POSITIVE_INFINITY;
  return {
    beat: (withinMs) => {
      dueAtMs = performance.now() + withinMs;
    },
    isLate: () => performance.now() > dueAtMs,
  };
}
