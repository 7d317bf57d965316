import { expect, test } from "bun:test";
import { cancelledWithoutWorker, lostAfterCrashes } from "../../src/jobs/outcome.ts";

const NEVER_RAN = {
  exitCode: null,
  signal: null,
  oom: null,
  usage: null,
  artifacts: [],
  warnings: [],
};

test("a job that no worker ends says why, and nothing that only a run could tell", () => {
  expect(cancelledWithoutWorker()).toEqual({
    ...NEVER_RAN,
    status: "cancelled",
    reason: "cancelled",
    error: null,
  });
  expect(lostAfterCrashes()).toEqual({
    ...NEVER_RAN,
    status: "lost",
    reason: "worker_lost",
    error: "The worker died 2 times while it ran this job",
  });
});
