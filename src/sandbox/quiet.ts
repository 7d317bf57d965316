/** Waits for a while in which nothing happens. */
export interface Quiet {
  /** Something happened: it is not quiet before so long from now. */
  disturb(forMs: number): void;
  isQuiet(): boolean;
  /** It is never quiet again. */
  stop(): void;
}

/** `onQuiet` is called each time that it has become quiet after something had happened. */
export function createQuiet(onQuiet: () => void): Quiet {
  let quietAtMs = 0;
  let timer: NodeJS.Timeout | undefined;
  const look = () => {
    const leftMs = quietAtMs - performance.now();
    timer = leftMs > 0 ? setTimeout(look, leftMs) : undefined;
    if (timer === undefined) onQuiet();
  };
  return {
    disturb(forMs) {
      quietAtMs = Math.max(quietAtMs, performance.now() + forMs);
      // One that is set already looks again when it is due.
      if (quietAtMs < Number.POSITIVE_INFINITY) timer ??= setTimeout(look, forMs);
    },
    isQuiet: () => performance.now() >= quietAtMs,
    stop() {
      clearTimeout(timer);
      quietAtMs = Number.POSITIVE_INFINITY;
      timer = undefined;
    },
  };
}
