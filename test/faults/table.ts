import { quantile } from "../../bench/measure.ts";
import { type Row, type TrialResult, violationOf } from "./trial.ts";
import { VIOLATIONS } from "./violation.ts";

/** Prints what the README shows: for each row and store its runs, what was broken, and how fast it was mended. */
export function printTable(rows: readonly Row[], results: readonly TrialResult[]): void {
  console.log(
    "| fault | store | runs | losses | duplicates | gaps | orphans | other | recovery p50, p99 |",
  );
  console.log("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
  for (const row of rows)
    for (const store of row.stores) {
      const own = results.filter((result) => result.row === row && result.store === store);
      if (own.length === 0) continue;
      const counts = [...VIOLATIONS, "other" as const].map(
        (kind) => own.filter((result) => violationOf(result) === kind).length,
      );
      const cells = [row.name, store, own.length, ...counts, recoveryOf(own)];
      console.log(`| ${cells.join(" | ")} |`);
    }
}

function recoveryOf(results: readonly TrialResult[]): string {
  const all = results.flatMap(({ recoveriesMs }) => recoveriesMs);
  if (all.length === 0) return "";
  const [p50, p99] = [quantile(all, 0.5), quantile(all, 0.99)].map((ms) => (ms / 1000).toFixed(1));
  return `${p50} s, ${p99} s`;
}
