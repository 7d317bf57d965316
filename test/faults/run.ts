import { parseArgs } from "node:util";

import { commit } from "./commit.ts";
import { ROWS } from "./suite.ts";
import { printTable } from "./table.ts";
import { runTrial, TEST_LEASE_MS, type TrialResult, violationOf } from "./trial.ts";

/*
 * The fault suite, many times over:
 *   bun run faults [--seeds 20] [--first-seed 1] [--only TEXT] [--store sqlite|redis] [--parallel 4] [--lease-ms 1000] [--verbose]
 * With a lease that is not that of the tests only the rows whose recovery depends on it are run.
 */

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "20" },
    "first-seed": { type: "string", default: "1" },
    only: { type: "string", default: "" },
    store: { type: "string", default: "" },
    parallel: { type: "string", default: "4" },
    verbose: { type: "boolean", default: false },
    "lease-ms": { type: "string", default: String(TEST_LEASE_MS) },
  },
});

const leaseMs = Number(values["lease-ms"]);
const rows = ROWS.filter(
  ({ name, isRecovery }) =>
    name.includes(values.only) && (leaseMs === TEST_LEASE_MS || isRecovery === true),
);
const trials = Array.from({ length: Number(values.seeds) }, (_, index) => index).flatMap((index) =>
  rows.flatMap((row) =>
    row.stores
      .filter((store) => store.includes(values.store))
      .map((store) => ({ row, store, seed: Number(values["first-seed"]) + index })),
  ),
);

if (trials.length === 0) {
  console.error("No row of the suite is meant by these flags.");
  process.exit(2);
}

const results: TrialResult[] = [];
const startedAtMs = performance.now();

async function takeTrials(): Promise<void> {
  for (let next = trials.shift(); next !== undefined; next = trials.shift()) {
    const result = await runTrial(next.row, { ...next, leaseMs });
    results.push(result);
    if (values.verbose) console.error(`${next.row.name}, ${next.store}, seed ${next.seed}: over`);
    if (violationOf(result) === null) continue;
    console.error(
      `FAILED ${next.row.name}, ${next.store}, seed ${next.seed}: ${String(result.error)}`,
    );
  }
}

// What is under way comes to its end, and the table is of what there is.
let left = 0;
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => {
    left += trials.splice(0, trials.length).length;
  });

await Promise.all(Array.from({ length: Number(values.parallel) }, takeTrials));
printTable(rows, results);
const failed = results.filter((result) => violationOf(result) !== null).length;
const seconds = Math.round((performance.now() - startedAtMs) / 1000);
console.log(
  `\n${commit()}: ${results.length} runs with leases of ${leaseMs} ms in ${seconds} s, ${failed} failed`,
);
if (left > 0) console.log(`Stopped early: ${left} runs were not made.`);
process.exit(failed === 0 && left === 0 ? 0 : 1);
