/** Milliseconds of one round, by the name of what was measured. */
type Times = Readonly<Record<string, number>>;

/** Does what is measured once, and tells what it took: one time, or several of the same run. */
export type Subject = () => Promise<Times>;

/** Milliseconds of each round, by the name of what was measured. */
export type Results = Readonly<Record<string, readonly number[]>>;

export interface Pace {
  readonly rounds: number;
  /** Rounds before them that are not counted. */
  readonly warmUpRounds?: number;
  /** Each subject begins at a multiple of this, so that none profits from the haste of the one before; 0: at once. */
  readonly slotMs?: number;
}

export const WARM_UP_ROUNDS = 5;

/**
 * Runs the subjects one after the other, again and again, so that a busy machine is busy for all of them.
 */
export async function measure(pace: Pace, subjects: readonly Subject[]): Promise<Results> {
  const { rounds, warmUpRounds = WARM_UP_ROUNDS, slotMs = 0 } = pace;
  const results: Record<string, number[]> = {};
  const nextSlot = createSlots(slotMs);
  for (let round = -warmUpRounds; round < rounds; round += 1)
    for (const subject of subjects) {
      await nextSlot();
      const times = await subject();
      if (round < 0) continue;
      for (const [name, ms] of Object.entries(times)) (results[name] ??= []).push(ms);
    }
  return results;
}

/** What waits for the next multiple of `slotMs` that nobody has had; with 0 it does not wait. */
function createSlots(slotMs: number): () => Promise<void> {
  if (slotMs === 0) return async () => await Promise.resolve();
  const startMs = performance.now();
  let slot = -1;
  return async () => {
    slot = Math.max(slot + 1, Math.ceil((performance.now() - startMs) / slotMs));
    // A timer may fire a little early.
    for (;;) {
      const leftMs = startMs + slot * slotMs - performance.now();
      if (leftMs <= 0) return;
      await Bun.sleep(leftMs);
    }
  };
}

/** A subject that is timed from its call to its end. */
export function timed(name: string, action: () => Promise<void> | void): Subject {
  return async () => {
    const startMs = performance.now();
    await action();
    return { [name]: performance.now() - startMs };
  };
}

/** What a closed loop has reached: each client begins anew as soon as its own run has ended. */
export interface LoopResult {
  readonly count: number;
  /** From the start to the end of the last run that was begun in time. */
  readonly elapsedMs: number;
  readonly timesMs: readonly number[];
}

/** Runs `action` by `clients` at a time; none begins after `durationMs`. */
export async function closedLoop(
  { clients, durationMs }: { readonly clients: number; readonly durationMs: number },
  action: (client: number) => Promise<unknown>,
): Promise<LoopResult> {
  const startMs = performance.now();
  const timesMs: number[] = [];
  const loop = async (client: number) => {
    for (;;) {
      const beganMs = performance.now();
      if (beganMs - startMs >= durationMs) return;
      await action(client);
      timesMs.push(performance.now() - beganMs);
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, client) => loop(client)));
  return { count: timesMs.length, elapsedMs: performance.now() - startMs, timesMs };
}

/** Several runs of a loop as one. */
export function sumOf(results: readonly LoopResult[]): LoopResult {
  const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
  return {
    count: total(results.map(({ count }) => count)),
    elapsedMs: total(results.map(({ elapsedMs }) => elapsedMs)),
    timesMs: results.flatMap(({ timesMs }) => timesMs),
  };
}

export function perSecond({ count, elapsedMs }: LoopResult): number {
  return (count / elapsedMs) * 1000;
}

/** The value below which a share of the sorted values lies. */
export function quantile(values: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN;
}

export function median(values: ArrayLike<number>): number {
  return quantile(values, 0.5);
}
