/** Milliseconds of each round, by the name of what was measured. */
export type Results = Readonly<Record<string, readonly number[]>>;

const WARM_UP_ROUNDS = 5;

/** Runs the subjects one after the other, again and again; the first rounds are not counted. */
export async function measure(
  rounds: number,
  subjects: Readonly<Record<string, () => Promise<void>>>,
): Promise<Results> {
  const results: Record<string, number[]> = Object.fromEntries(
    Object.keys(subjects).map((name) => [name, []]),
  );
  for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1)
    for (const [name, subject] of Object.entries(subjects)) {
      const startMs = performance.now();
      await subject();
      if (round >= 0) results[name]?.push(performance.now() - startMs);
    }
  return results;
}

/** The value below which a share of the sorted values lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN;
}

/** Prints p50 and p90 of each, and p50 as a ratio to that of `yardstick`. */
export function printTable(results: Results, yardstick: string): void {
  const base = quantile(results[yardstick] ?? [], 0.5);
  console.log("| what | p50 ms | p90 ms | ratio |\n| --- | --- | --- | --- |");
  for (const [name, values] of Object.entries(results)) {
    const [p50, p90] = [quantile(values, 0.5), quantile(values, 0.9)];
    console.log(`| ${name} | ${p50.toFixed(2)} | ${p90.toFixed(2)} | ${(p50 / base).toFixed(2)} |`);
  }
}
