import { parseArgs } from "node:util";

import { quantile } from "../../bench/measure.ts";
import { commit } from "./commit.ts";
import { runRound, type RoundReport } from "./restart-round.ts";

/*
 * A thousand clients through a restart of the API, twice; prints the table of the README:
 *   bun run clients [--clients 1000] [--crowds 4] [--jobs 4] [--lines 100] [--pause-ms 400]
 */

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "1000" },
    crowds: { type: "string", default: "4" },
    jobs: { type: "string", default: "4" },
    lines: { type: "string", default: "100" },
    "pause-ms": { type: "string", default: "400" },
  },
});

const MIB = 1024 * 1024;
const clients = Number(values.clients);

function cellsOf(name: string, report: RoundReport): readonly string[] {
  const { crowd, stopMs, startMs, idleBytes, entries, reads } = report;
  const silences = [0.5, 0.99].map((share) => quantile(crowd.silencesMs, share));
  const peaks = report.peakBytes.map((bytes) => (bytes / MIB).toFixed(0));
  const inSeconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  return [
    name,
    clients.toString(),
    crowd.failures.length.toString(),
    `${inSeconds(stopMs)}, ${inSeconds(startMs)}`,
    silences.map(inSeconds).join(", "),
    `${(idleBytes / MIB).toFixed(0)}, ${peaks.join(", ")} MiB`,
    entries.toString(),
    (reads / entries).toFixed(1),
  ];
}

const HEAD = [
  "the API's end",
  "clients",
  "with a byte lost or twice",
  "down, up again",
  "a client's silence p50, p99",
  "memory idle, before, after",
  "log entries",
  "reads of the store per entry",
];
console.log(`${commit()}\n\n| ${HEAD.join(" | ")} |\n|${" --- |".repeat(HEAD.length)}`);
let failed = 0;
for (const [name, fault] of [
  ["SIGTERM", "SIGTERM"],
  ["kill -9", "SIGKILL"],
] as const) {
  const report = await runRound({
    fault,
    clients,
    crowds: Number(values.crowds),
    jobs: Number(values.jobs),
    lines: Number(values.lines),
    pauseMs: Number(values["pause-ms"]),
    watchMs: 3_000,
  });
  console.log(`| ${cellsOf(name, report).join(" | ")} |`);
  failed += report.crowd.failures.length;
  for (const failure of report.crowd.failures.slice(0, 5)) console.error(failure);
  console.error(
    `${name}: ${report.crowd.connections} connections, ${report.reads} reads, ${report.seconds.toFixed(0)} s`,
  );
}
process.exit(failed === 0 ? 0 : 1);
