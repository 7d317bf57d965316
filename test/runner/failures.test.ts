import { expect, test } from "bun:test";

import { AppError } from "../../src/errors.ts";
import { createFailureReport } from "../../src/runner/failures.ts";
import { recordedLog } from "../support/recorded-log.ts";

test("a failure is an error the first time, what repeats it is not, and another one is again", () => {
  const { log, lines } = recordedLog();
  const report = createFailureReport(log);
  for (const text of ["full", "full", "bug", "full"]) report("reaper", new Error(text));
  report("runner", new Error("full"));
  expect(lines.map(({ level, message }) => [level, message])).toEqual([
    ["error", "The reaper failed: full"],
    ["debug", "The reaper failed: full"],
    ["error", "The reaper failed: bug"],
    ["debug", "The reaper failed: full"],
    ["error", "The runner failed: full"],
  ]);
});

test("the same failure of two jobs is said of each", () => {
  const { log, lines } = recordedLog();
  const report = createFailureReport(log);
  for (const job_id of ["a", "b", "a"]) report("attempt", new Error("no"), { job_id, epoch: 1 });
  expect(lines.map(({ level, job_id }) => [level, job_id])).toEqual([
    ["error", "a"],
    ["error", "b"],
    ["debug", "a"],
  ]);
  expect(lines[0]).toMatchObject({ event: "step_failed", epoch: 1 });
  expect(lines[0]?.error).toContain("failures.test.ts");
});

test("what comes of a store that is away is said by who watches the store", () => {
  const { log, lines } = recordedLog();
  createFailureReport(log)("runner", new AppError("store_unavailable", "no answer"));
  expect(lines.map(({ level }) => level)).toEqual(["debug"]);
});

test("failures without end do not fill the memory: the first is said again in time", () => {
  const { log, lines } = recordedLog();
  const report = createFailureReport(log);
  for (let i = 0; i < 101; i++) report("runner", new Error(String(i)));
  report("runner", new Error("0"));
  expect(lines.at(-1)?.level).toBe("error");
});
