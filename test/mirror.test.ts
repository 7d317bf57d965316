import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";

/*
 * Coverage counts only the files that some test loads, so a file that nobody tests would go unseen. Here each file of
 * src/ with code that runs must have test/<the same path>.test.ts, or stand in a row below.
 */

const PROJECT = join(import.meta.dir, "..");

/** Files, or folders with a slash at the end, which another suite tests: through their port, or as a whole process. */
const TESTED_BY: Readonly<Record<string, string>> = {
  "compose.ts": "e2e/jobs.test.ts",
  "compose-api.ts": "e2e/metrics.test.ts",
  "compose-steps.ts": "e2e/compiled.test.ts",
  "main.ts": "e2e/recovery.test.ts",
  "worker.ts": "e2e/jobs.test.ts",
  "doctor.ts": "e2e/fail-closed.test.ts",
  "egress/local-egress.ts": "e2e/network.test.ts",
  "entry.ts": "e2e/recovery.test.ts",
  "config-table.ts": "config.test.ts",
  "config-variable.ts": "config.test.ts",
  "errors.ts": "e2e/bad-requests.test.ts",
  "api/download.ts": "api/files.test.ts",
  "api/find-job.ts": "e2e/jobs.test.ts",
  "api/job-view.ts": "e2e/jobs.test.ts",
  "api/jobs.ts": "e2e/jobs.test.ts",
  "api/json-upload.ts": "e2e/json-body.test.ts",
  "api/log-selection.ts": "e2e/streaming.test.ts",
  "api/log-snapshot.ts": "e2e/log-parts.test.ts",
  "api/ndjson.ts": "e2e/log-parts.test.ts",
  "api/rate-limit.ts": "e2e/key-quotas.test.ts",
  "api/routing.ts": "e2e/bad-requests.test.ts",
  "api/openapi-examples.ts": "api/openapi.test.ts",
  "api/openapi-operations.ts": "api/openapi.test.ts",
  "api/openapi-parts.ts": "api/openapi.test.ts",
  "api/openapi-schemas.ts": "api/openapi.test.ts",
  "api/probes.ts": "e2e/metrics.test.ts",
  "api/request-schemas.ts": "api/openapi.test.ts",
  "api/server-info.ts": "api/openapi.test.ts",
  "api/stats.ts": "e2e/metrics.test.ts",
  "api/submit.ts": "e2e/run-and-wait.test.ts",
  "api/upload.ts": "e2e/upload.test.ts",
  "logs/attempt-selection.ts": "logs/follow.test.ts",
  "logs/cutter.ts": "logs/events.test.ts",
  "logs/frame-cutters.ts": "logs/events.test.ts",
  "executor/build-step.ts": "executor/compile.test.ts",
  "executor/guest-step.ts": "executor/execute.test.ts",
  "executor/run.ts": "executor/execute.test.ts",
  "files/disk.ts": "files/local.test.ts",
  "files/job-folders.ts": "files/local.test.ts",
  "files/pack.ts": "files/local-build-cache.test.ts",
  "metrics/answers.ts": "e2e/metrics.test.ts",
  "metrics/build-metrics.ts": "e2e/compiled.test.ts",
  "metrics/metrics.ts": "e2e/metrics.test.ts",
  "metrics/process-metrics.ts": "metrics/scrape.test.ts",
  "metrics/runs.ts": "metrics/store-metrics.test.ts",
  "metrics/sandbox-metrics.ts": "e2e/metrics.test.ts",
  "jobs/languages.ts": "runtimes/languages.test.ts",
  "jobs/limits.ts": "e2e/jobs.test.ts",
  "platform/file-system.ts": "files/local.test.ts",
  "keys/caller.ts": "api/guard.test.ts",
  "runtimes/builtin/compiler.ts": "runtimes/builtin/c.test.ts",
  "runtimes/builtin/support.ts": "runtimes/discover.test.ts",
  "runtimes/build-guest.ts": "executor/compile.test.ts",
  "runner/patience.ts": "runner/attempt.test.ts",
  "runtimes/runtime.ts": "runner/runner.test.ts",
  "runtimes/trial.ts": "runtimes/discover.test.ts",
  "jobs/log-entry.ts": "store/sqlite.test.ts",
  "jobs/states.ts": "store/sqlite.test.ts",
  "store/listing.ts": "store/sqlite.test.ts",
  "sandbox/bubblewrap-launch.ts": "sandbox/bubblewrap.test.ts",
  "sandbox/hand-over.ts": "sandbox/supervised-guest.test.ts",
  "sandbox/last-words.ts": "sandbox/supervised-guest.test.ts",
  "sandbox/sandbox.ts": "sandbox/bubblewrap.test.ts",
  "sandbox/running-guest.ts": "sandbox/supervised-guest.test.ts",
  "store/timing.ts": "store/sqlite.test.ts",
  "store/redis/": "store/redis.test.ts",
  "store/sqlite/": "store/sqlite.test.ts",
};

const sources = (await readdir(join(PROJECT, "src"), { recursive: true })).filter((path) =>
  path.endsWith(".ts"),
);
const withCode: string[] = [];
for (const path of sources) if (await hasCode(path)) withCode.push(path);

/** Whether anything is left of a file once its types are taken out. */
async function hasCode(path: string): Promise<boolean> {
  const source = await Bun.file(join(PROJECT, "src", path)).text();
  const code = new Bun.Transpiler({ loader: "ts" }).transformSync(source);
  return code.trim() !== "" && code.trim() !== "export {};";
}

function testOf(source: string): string {
  return source.replace(/\.ts$/, ".test.ts");
}

function hasOwnTest(source: string): boolean {
  return existsSync(join(PROJECT, "test", testOf(source)));
}

function rowsFor(source: string): readonly string[] {
  return Object.keys(TESTED_BY).filter((row) =>
    row.endsWith("/") ? source.startsWith(row) : source === row,
  );
}

test("every file with code has its test, or a row that says which suite tests it", () => {
  const untested = withCode.filter((path) => !hasOwnTest(path) && rowsFor(path).length === 0);
  expect(untested).toEqual([]);
});

test("every row is needed, and its suite is there", () => {
  const needed = new Set(withCode.filter((path) => !hasOwnTest(path)).flatMap(rowsFor));
  expect(Object.keys(TESTED_BY).filter((row) => !needed.has(row))).toEqual([]);
  const gone = Object.values(TESTED_BY).filter(
    (suite) => !existsSync(join(PROJECT, "test", suite)),
  );
  expect(gone).toEqual([]);
});
