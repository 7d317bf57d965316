import { cp, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { ROOT } from "../support/service.ts";

/*
 * Plants bugs in a copy of the sources, one at a time, and tells which rows of the fault suite catch each:
 *   bun run mutants
 * A bug that no row catches is a hole in the suite.
 */

interface Mutant {
  readonly name: string;
  readonly file: string;
  /** What is taken out of the file, where it stands just once, and what takes its place. */
  readonly takeOut: string;
  readonly putIn: string;
  /** Rows that should catch it: parts of their names. */
  readonly rows: readonly string[];
}

const SHARED = "src/store/redis/scripts/shared.lua";

const MUTANTS: readonly Mutant[] = [
  {
    name: "no epoch guard: any claim holds a running job",
    file: SHARED,
    takeOut: "return record[2] == claim.epoch and record[3] == claim.owner end",
    putIn: "return true end",
    rows: ["SIGSTOP worker"],
  },
  {
    name: "no grace after a silence of the store",
    file: SHARED,
    takeOut: "elseif not last or now - last > 3 * interval then",
    putIn: "elseif not last then",
    rows: ["redis SIGSTOP for 3 s", "CLIENT PAUSE"],
  },
  {
    name: "no reconcile: a forgotten claim is not entered again",
    file: SHARED,
    takeOut:
      "  if record[1] ~= 'queued' or tonumber(claim.epoch) <= tonumber(record[2]) then return false end",
    putIn: "  if true then return false end",
    rows: ["host crash"],
  },
  {
    name: "no reconcile: a forgotten end is not made again",
    file: "src/runner/lease.ts",
    takeOut: "      recent.settle(startedAtMs, answer.unfinished);",
    putIn: "",
    rows: ["host crash"],
  },
  {
    name: "no reconcile: a claim whose reply was lost is not repeated",
    file: "src/runner/runner.ts",
    takeOut: "    unanswered ??= { slot, token: randomUUID() };",
    putIn: "    unanswered = { slot, token: randomUUID() };",
    rows: ["reply of claim lost"],
  },
  {
    name: "no check of the last seq: a lost tail leaves a hole",
    file: "src/store/redis/scripts/append.lua",
    takeOut: "if seq > last + 1 then return last end",
    putIn: "",
    rows: ["host crash"],
  },
  {
    name: "no UTF-8 hold-back",
    file: "src/logs/collect.ts",
    takeOut: "const tail = incompleteTailLength(bytes);",
    putIn: "const tail = 0 * incompleteTailLength(bytes);",
    rows: ["output cut at every offset"],
  },
  {
    name: "no claim is held back after a restart of the server",
    file: "src/store/redis/claim.ts",
    takeOut: "await grace.passed(client);",
    putIn: "",
    rows: ["host crash"],
  },
];

const SEEDS = 6;

async function copyWith({ file, takeOut, putIn }: Mutant): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), "job-runner-mutant-"));
  for (const name of ["src", "test", "bench", "package.json", "tsconfig.json"])
    await cp(join(ROOT, name), join(copy, name), { recursive: true });
  await symlink(join(ROOT, "node_modules"), join(copy, "node_modules"));
  const source = await Bun.file(join(copy, file)).text();
  if (source.split(takeOut).length !== 2) throw new Error(`${file} does not hold once: ${takeOut}`);
  await Bun.write(
    join(copy, file),
    source.replace(takeOut, () => putIn),
  );
  return copy;
}

let missed = 0;
for (const mutant of MUTANTS) {
  const copy = await copyWith(mutant);
  const caught: string[] = [];
  for (const row of mutant.rows) {
    const flags = ["--seeds", String(SEEDS), "--only", row, "--store", "redis"];
    const run = Bun.spawn([process.execPath, "run", "test/faults/run.ts", ...flags], {
      cwd: copy,
      stdout: "pipe",
      stderr: "pipe",
    });
    const errors = await new Response(run.stderr).text();
    if ((await run.exited) !== 0)
      caught.push(`${row} (${/^FAILED .*?: (\w+: .{0,110})/m.exec(errors)?.[1] ?? "?"})`);
  }
  await rm(copy, { recursive: true });
  if (caught.length === 0) missed += 1;
  console.log(`| ${mutant.name} | ${caught.join("; ") || "NOBODY"} |`);
}
process.exit(missed === 0 ? 0 : 1);
