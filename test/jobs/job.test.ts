import { expect, test } from "bun:test";

import { type JobFilter, type JobRecord, matchesFilter } from "../../src/jobs/job.ts";
import { newJob } from "../contract/store-harness.ts";

const JOB: JobRecord = {
  ...newJob({
    runtime: { name: "python3.11", version: "3.11.2" },
    spec: { runtime: "python3", labels: { team: "a:b", empty: "" } },
  }),
  status: "running",
  createdAtMs: 1,
  startedAtMs: 2,
  finishedAtMs: null,
  epoch: 1,
  epochs: [1],
  crashes: 0,
  retryReason: null,
  owner: "worker",
  cancelRequested: false,
  log: { bytes: 0, droppedBytes: 0 },
  outcome: null,
};

const FILTERS: readonly (readonly [filter: JobFilter, isMatch: boolean])[] = [
  [{}, true],
  [{ status: "running" }, true],
  [{ status: "queued" }, false],
  [{ runtime: "python3" }, true],
  [{ runtime: "python3.11" }, true],
  [{ runtime: "python" }, false],
  [{ label: { name: "team", value: "a:b" } }, true],
  [{ label: { name: "team", value: "a" } }, false],
  [{ label: { name: "empty", value: "" } }, true],
  [{ label: { name: "none", value: "" } }, false],
  [{ label: { name: "constructor", value: "" } }, false],
  [{ status: "running", runtime: "node" }, false],
];

for (const [filter, isMatch] of FILTERS)
  test(`a job ${isMatch ? "matches" : "does not match"} ${JSON.stringify(filter)}`, () => {
    expect(matchesFilter(JOB, filter)).toBe(isMatch);
  });
