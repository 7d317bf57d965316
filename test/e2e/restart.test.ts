import { describe, expect, test } from "bun:test";

import { runRound } from "../faults/restart-round.ts";
import { hasRedisServer } from "../support/redis-server.ts";

// `bun run clients` is the same with a thousand clients.
describe.skipIf(!hasRedisServer())("fifty clients of an API that is replaced under them", () => {
  test.each(["SIGTERM", "SIGKILL"] as const)(
    "by %s: each comes back and ends with every byte, none twice",
    async (fault) => {
      const { crowd, entries, reads } = await runRound({
        fault,
        clients: 50,
        crowds: 1,
        jobs: 2,
        lines: 60,
        pauseMs: 60,
        watchMs: 1_000,
      });
      expect(crowd).toMatchObject({ failures: [], connections: 100 });
      expect(entries).toBeGreaterThan(100);
      // 25 clients follow each log, and two more that cut their own connections all the time.
      expect(reads / entries).toBeLessThan(4);
    },
    60_000,
  );
});
