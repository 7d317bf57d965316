import { expect, test } from "bun:test";

import { afterCrash, MAX_CRASHES } from "../../src/jobs/retry.ts";

test("a job runs again after each crash but the last that it may meet", () => {
  for (let crashes = 1; crashes < MAX_CRASHES; crashes++)
    expect(afterCrash({ crashes, cancelRequested: false })).toBe("requeue");
  for (const crashes of [MAX_CRASHES, MAX_CRASHES + 1])
    expect(afterCrash({ crashes, cancelRequested: false })).toBe("lost");
});

test("a job that was to be cancelled is, however often it crashed", () => {
  for (const crashes of [1, MAX_CRASHES, MAX_CRASHES + 1])
    expect(afterCrash({ crashes, cancelRequested: true })).toBe("cancelled");
});
