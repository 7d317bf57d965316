import { expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";

import { createPulse } from "../../src/health/pulse.ts";

test("a pulse is late once the time that its last beat gave has passed, and no more with the next beat", async () => {
  const pulse = createPulse();
  expect(pulse.isLate()).toBe(false);
  pulse.beat(20);
  expect(pulse.isLate()).toBe(false);
  // Only the clock makes it late.
  await delay(40);
  expect(pulse.isLate()).toBe(true);
  pulse.beat(Number.POSITIVE_INFINITY);
  expect(pulse.isLate()).toBe(false);
});
