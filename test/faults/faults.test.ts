import { describe, test } from "bun:test";

import { hasRedisServer } from "../support/redis-server.ts";
import { ROWS } from "./suite.ts";
import { createTurns } from "./turns.ts";
import { runTrial, TEST_LEASE_MS } from "./trial.ts";

/*
 * Every row of the suite twice on every store: with a seed that is always the same, and with another one each day. A
 * failure names the seed, and `bun run faults --only ROW --first-seed SEED --seeds 1` repeats it.
 */

const MS_PER_DAY = 86_400_000;
const SEEDS = [1, Math.floor(Date.now() / MS_PER_DAY)];
const hasRedis = hasRedisServer();

/** Trials at once: they mostly wait, but each has several processes. */
const PARALLEL = 4;
/** Bun starts all concurrent tests of a file at once. */
const inTurn = createTurns(PARALLEL);

for (const row of ROWS)
  describe(row.name, () => {
    for (const store of row.stores)
      for (const seed of SEEDS)
        test.skipIf(store === "redis" && !hasRedis).concurrent(
          `on ${store}, seed ${seed}`,
          () =>
            inTurn(async () => {
              const { error } = await runTrial(row, { store, seed, leaseMs: TEST_LEASE_MS });
              if (error !== null) throw error;
            }),
          600_000,
        );
  });
