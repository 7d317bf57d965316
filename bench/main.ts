import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { type Group, openBench } from "./bench.ts";
import { measureByteLatency } from "./byte-latency.ts";
import { measureClaim } from "./claim.ts";
import { conditionsOf } from "./conditions.ts";
import { measureIdleClients } from "./idle-clients.ts";
import { measureLatency } from "./latency.ts";
import { measureLogRate } from "./log-rate.ts";
import { measureMemory } from "./memory.ts";
import { measureStartUp } from "./start-up.ts";
import { measureSubmit } from "./submit.ts";
import { formatTable, type Row } from "./table.ts";
import { measureThroughput } from "./throughput.ts";
import { measureWait } from "./wait.ts";

/*
 * What this service costs, as ratios against a yardstick that is measured in the same run:
 *   bun run bench [--only latency,throughput] [--quick] [--write]
 * --quick tries every line with a few rounds; --write keeps the table in results.md. The whole of it takes about eight
 * minutes, and wants the machine for itself.
 */

const GROUPS: Readonly<Record<string, Group>> = {
  latency: measureLatency,
  throughput: measureThroughput,
  "log-rate": measureLogRate,
  "byte-latency": measureByteLatency,
  "idle-clients": measureIdleClients,
  wait: measureWait,
  submit: measureSubmit,
  claim: measureClaim,
  memory: measureMemory,
  "start-up": measureStartUp,
};

const ALL = Object.keys(GROUPS).join(",");
const RESULTS = join(import.meta.dir, "results.md");

const { values } = parseArgs({
  options: {
    only: { type: "string", default: ALL },
    quick: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
  },
});

if (values.write && (values.quick || values.only !== ALL))
  throw new Error("--write keeps the table of a whole run, without --only and --quick");

function keep(text: string): void {
  writeFileSync(RESULTS, `# What it costs\n\n\`bun run bench\`, the last time:\n\n${text}`);
  // As the check of the whole project's format wants it.
  Bun.spawnSync([process.execPath, "fmt", RESULTS]);
}

const bench = await openBench(values.quick);
try {
  const conditions = conditionsOf(bench).map((line) => `- ${line}\n`);
  const rows: Row[] = [];
  for (const name of values.only.split(",")) {
    const group = GROUPS[name];
    if (group === undefined) throw new Error(`There is no group ${name}, only ${ALL}`);
    rows.push(...(await group(bench)));
  }
  const text = `${conditions.join("")}\n${formatTable(rows)}`;
  console.log(text);
  if (values.write) keep(text);
} finally {
  bench.close();
}
