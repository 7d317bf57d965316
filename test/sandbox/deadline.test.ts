import { expect, test } from "bun:test";

import { beforeDeadline, LATE } from "../../src/sandbox/deadline.ts";

test("the result, or LATE; a rejection in time is passed on, a later one is dropped", async () => {
  expect(await beforeDeadline(Promise.resolve(1), 1000)).toBe(1);
  const { promise, reject } = Promise.withResolvers<number>();
  expect(await beforeDeadline(promise, 5)).toBe(LATE);
  reject(new Error("nobody waits"));
  expect(await beforeDeadline(Promise.reject(new Error("no")), 1000).catch(String)).toContain("no");
});
