import { cp, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { ROOT } from "../support/service.ts";

/*
 * Plants bugs in a copy of the sources, one at a time, and tells which rows of the fault suite catch each:
 *   bun run mutants [part of a name]
 * A bug that no row catches is a hole in the suite. Only broken promises count, and the same rows and seeds must pass
 * without a bug, on this machine and in this run.
 */

interface Edit {
  readonly file: string;
  /** What is taken out of the file, where it stands just once, and what takes its place. */
  readonly takeOut: string;
  readonly putIn: string;
}

interface Mutant {
  readonly name: string;
  readonly edits: readonly Edit[];
  /** Rows that should catch it: parts of their names. */
  readonly rows: readonly string[];
  /** "redis" when absent. */
  readonly store?: "sqlite" | "redis";
}

const SHARED = "src/store/redis/scripts/shared.lua";

const MUTANTS: readonly Mutant[] = [
  {
    name: "no epoch guard: any claim holds a running job",
    edits: [
      {
        file: SHARED,
        takeOut: "return record[2] == claim.epoch and record[3] == claim.owner end",
        putIn: "return true end",
      },
    ],
    rows: ["SIGSTOP worker"],
  },
  {
    name: "no grace after a silence of the store",
    edits: [
      {
        file: SHARED,
        takeOut: "elseif not last or now - last > 3 * interval then",
        putIn: "elseif not last then",
      },
    ],
    rows: ["redis SIGSTOP for 3 s", "CLIENT PAUSE"],
  },
  {
    name: "no reconcile: a forgotten claim is not entered again",
    edits: [
      {
        file: SHARED,
        takeOut:
          "  if record[1] ~= 'queued' or tonumber(claim.epoch) <= tonumber(record[2]) then return false end",
        putIn: "  if true then return false end",
      },
    ],
    rows: ["host crash"],
  },
  {
    name: "no reconcile: a forgotten end is not made again",
    edits: [
      {
        file: "src/runner/lease.ts",
        takeOut: "    recent.settle(startedAtMs, answer.unfinished);",
        putIn: "",
      },
    ],
    rows: ["host crash"],
  },
  {
    name: "no reconcile: a claim whose reply was lost is not repeated",
    edits: [
      {
        file: "src/store/redis/scripts/claim.lua",
        takeOut: "if taken_by == token then",
        putIn: "if false then",
      },
    ],
    rows: ["reply of claim lost"],
  },
  {
    name: "no check of the last seq: a lost tail leaves a hole",
    edits: [
      {
        file: "src/store/redis/scripts/append.lua",
        takeOut: "if seq > last + 1 then return last end",
        putIn: "",
      },
    ],
    rows: ["host crash"],
  },
  {
    name: "no UTF-8 hold-back",
    edits: [
      {
        file: "src/logs/utf8.ts",
        takeOut: "const end = bytes.length - incompleteTailLength(bytes);",
        putIn: "const end = bytes.length - 0 * incompleteTailLength(bytes);",
      },
    ],
    rows: ["output cut at every offset"],
  },
  {
    name: "no claim is held back after a restart of the server",
    edits: [
      { file: "src/store/redis/claim.ts", takeOut: "await grace.passed(client);", putIn: "" },
    ],
    rows: ["host crash"],
  },
  {
    name: "a worker that is cut off does not end its runs",
    edits: [
      {
        file: "src/runner/lease.ts",
        takeOut: "    for (const run of held) cutOff(run);",
        putIn: "",
      },
    ],
    rows: ["black-hole"],
  },
  {
    name: "sandboxes outlive their worker",
    // Two things see to it, so both are gone.
    edits: [
      {
        file: "src/sandbox/bubblewrap-arguments.ts",
        takeOut: '["--new-session", "--die-with-parent", "--as-pid-1"]',
        putIn: '["--new-session", "--as-pid-1"]',
      },
      {
        file: "src/sandbox/attendant.pl",
        takeOut: "if (defined $got && $got == 0) { $stopping = 1; kill_everyone() }",
        putIn: "$stopping = 1",
      },
    ],
    rows: ["after spawn, before the first byte"],
  },
  {
    name: "sandboxes that wait outlive their worker",
    // As above: one thing is the same, and the other one's part is what happens before there is a job.
    edits: [
      {
        file: "src/sandbox/bubblewrap-arguments.ts",
        takeOut: '["--new-session", "--die-with-parent", "--as-pid-1"]',
        putIn: '["--new-session", "--as-pid-1"]',
      },
      {
        file: "src/sandbox/supervisor.pl",
        takeOut: "exit 125 if !$got;",
        putIn: "sleep 1 if !$got;",
      },
    ],
    rows: ["while sandboxes wait for jobs"],
  },
  {
    name: "a drain puts a job to the end of the queue",
    edits: [
      {
        file: SHARED,
        takeOut: "while first and submitted_at(first) < submitted do",
        putIn: "while first do",
      },
    ],
    rows: ["outlives the grace"],
  },
  {
    name: "an idempotency key is not looked up",
    edits: [
      {
        file: "src/store/sqlite/enqueue.ts",
        takeOut: "if (first === undefined) return null;",
        putIn: "return null;",
      },
    ],
    rows: ["stored, before the reply"],
    store: "sqlite",
  },
  {
    name: "no room is held back for ends",
    edits: [{ file: "src/store/sqlite/reserve.ts", takeOut: "    reserve.spend();", putIn: "" }],
    rows: ["disk full"],
    store: "sqlite",
  },
];

const SEEDS = 6;

async function copySources(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), "job-runner-mutant-"));
  for (const name of ["src", "test", "bench", "package.json", "tsconfig.json"])
    await cp(join(ROOT, name), join(copy, name), { recursive: true });
  await symlink(join(ROOT, "node_modules"), join(copy, "node_modules"));
  return copy;
}

async function plant({ file, takeOut, putIn }: Edit, copy: string): Promise<void> {
  const source = await Bun.file(join(copy, file)).text();
  await Bun.write(
    join(copy, file),
    source.replace(takeOut, () => putIn),
  );
}

/** What the suite in `copy` says of a row: its exit code, and how often a promise was seen broken, with the first. */
async function judge(
  copy: string,
  row: string,
  store: string,
): Promise<{ readonly exitCode: number; readonly broken: string | null }> {
  const flags = ["--seeds", String(SEEDS), "--only", row, "--store", store];
  const run = Bun.spawn([process.execPath, "run", "test/faults/run.ts", ...flags], {
    cwd: copy,
    stdout: "ignore",
    stderr: "pipe",
  });
  const errors = await new Response(run.stderr).text();
  const exitCode = await run.exited;
  const violations = [...errors.matchAll(/^FAILED .*?: Violation: (\w+: .{0,110})/gm)];
  const [first] = violations;
  return { exitCode, broken: first === undefined ? null : `${violations.length}: ${first[1]}` };
}

let problems = 0;
const [only = ""] = process.argv.slice(2);
const mutants = MUTANTS.filter(({ name }) => name.includes(only));

for (const { file, takeOut } of mutants.flatMap(({ edits }) => edits)) {
  const source = await Bun.file(join(ROOT, file)).text();
  if (source.split(takeOut).length !== 2) throw new Error(`${file} does not hold once: ${takeOut}`);
}

const original = await copySources();
const controls = new Set(
  mutants.flatMap(({ rows, store = "redis" }) => rows.map((row) => `${store}: ${row}`)),
);
for (const control of controls) {
  const [store = "", row = ""] = control.split(": ");
  const { exitCode, broken } = await judge(original, row, store);
  if (exitCode === 0) continue;
  problems += 1;
  console.log(`without a bug ${control} fails with ${exitCode}: ${broken}`);
}
await rm(original, { recursive: true });

console.log("| planted bug | row that caught it, by how many of six seeds |\n| --- | --- |");
for (const mutant of mutants) {
  const copy = await copySources();
  for (const edit of mutant.edits) await plant(edit, copy);
  const caught: string[] = [];
  for (const row of mutant.rows) {
    const { broken } = await judge(copy, row, mutant.store ?? "redis");
    if (broken !== null) caught.push(`${row} (${broken})`);
  }
  await rm(copy, { recursive: true });
  if (caught.length === 0) problems += 1;
  console.log(`| ${mutant.name} | ${caught.join("; ") || "NOBODY"} |`);
}
process.exit(problems === 0 ? 0 : 1);
