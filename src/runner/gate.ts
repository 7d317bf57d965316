/** Something that is open or closed, and that can be waited for. */
export interface Gate {
  open(): void;
  close(): void;
  isOpen(): boolean;
  /** Resolves as soon as it is open, or `signal` fires. */
  opened(signal: AbortSignal): Promise<void>;
}

/** A gate that is closed. */
export function createGate(): Gate {
  let isOpen = false;
  let waiting = Promise.withResolvers<void>();
  return {
    open() {
      isOpen = true;
      waiting.resolve();
    },
    close() {
      if (!isOpen) return;
      isOpen = false;
      waiting = Promise.withResolvers();
    },
    isOpen: () => isOpen,
    async opened(signal) {
      if (isOpen || signal.aborted) return;
      const aborted = Promise.withResolvers<void>();
      const abort = () => aborted.resolve();
      signal.addEventListener("abort", abort, { once: true });
      await Promise.race([waiting.promise, aborted.promise]);
      signal.removeEventListener("abort", abort);
    },
  };
}
