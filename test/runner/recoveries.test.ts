import { expect, test } from "bun:test";

import { createFoldersReport, createRecoveryReport } from "../../src/runner/recoveries.ts";
import { recordedLog } from "../support/recorded-log.ts";

test("each recovered job has a line of its own, with what became of it", () => {
  const { log, lines } = recordedLog();
  createRecoveryReport(log)({ requeued: ["a", "b"], lost: ["c"], cancelled: ["d"] });
  expect(lines.map(({ level, event, job_id, status }) => [level, event, job_id, status])).toEqual([
    ["warn", "job_recovered", "a", "queued"],
    ["warn", "job_recovered", "b", "queued"],
    ["warn", "job_recovered", "c", "lost"],
    ["warn", "job_recovered", "d", "cancelled"],
  ]);
});

test("removed folders have one line with their number, and none without any", () => {
  const { log, lines } = recordedLog();
  const report = createFoldersReport(log);
  report(0);
  report(3);
  expect(lines.map(({ level, event, message }) => [level, event, message])).toEqual([
    ["warn", "folders_removed", "Folders of jobs that the store does not know were removed: 3."],
  ]);
});
