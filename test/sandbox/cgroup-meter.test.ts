import { expect, test } from "bun:test";

import type { GuestCgroups } from "../../src/sandbox/cgroup/cgroup.ts";
import { createCgroupMeter } from "../../src/sandbox/cgroup-meter.ts";
import type { GuestLimit } from "../../src/sandbox/sandbox.ts";
import { DEFAULT_LIMITS } from "../support/guests.ts";

/*
 * A cgroup whose counts can be made to fail, which the kernel's own do not at will. With a real one, the meter is tried in
 * bubblewrap.test.ts.
 */
function cgroupsThatCount(cpuMs: () => number): GuestCgroups {
  return {
    version: "v2",
    create: () => ({
      join: () => Promise.resolve(),
      setLimits: () => undefined,
      raiseMemory: () => undefined,
      killTogether: () => undefined,
      counts: () => ({
        get cpuMs() {
          return cpuMs();
        },
        peakMemoryBytes: null,
        currentMemoryBytes: 0,
        oomKills: 0,
        refusedForks: 0,
      }),
      remove: () => Promise.resolve(),
    }),
  };
}

test("a count of CPU time that fails is asked for again, and the limit holds", async () => {
  let looks = 0;
  const meter = createCgroupMeter(
    cgroupsThatCount(() => {
      looks += 1;
      // The first is the guest's start; of the looks at its time two fail.
      if (looks === 3 || looks === 4) throw new Error("no count");
      return looks < 5 ? 0 : 1_000_000;
    }),
    { cpuPercent: 0 },
  );
  const limits = { ...DEFAULT_LIMITS, cpuSec: 0.001 };
  meter.limit({ limits, helpers: 0, isWarm: false });
  const { promise: limit, resolve } = Promise.withResolvers<GuestLimit>();
  meter.watch(resolve);
  expect(await limit).toBe("cpu");
  expect(looks).toBe(5);
  await meter.close();
});
