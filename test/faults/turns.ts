/** Runs what it is given, at most `limit` at a time; the others wait in order. */
export function createTurns(limit: number): <T>(run: () => Promise<T>) => Promise<T> {
  let free = limit;
  const waiting: (() => void)[] = [];
  return async (run) => {
    if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
    else free -= 1;
    try {
      return await run();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };
}

/** Rows with a hundred clients: Bun's fetch makes 256 connections at a time, and lets the others wait without a word. */
export const crowdTurn = createTurns(2);
