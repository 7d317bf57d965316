import { describe, test } from "bun:test";

import { hasRedisServer } from "../support/redis-server.ts";
import { ROWS } from "./suite.ts";
import { createTurns } from "./turns.ts";
import { runTrial, TEST_LEASE_MS } from "./trial.ts";

/*
 * Every row of the suite on every store, with a seed that is always the same: `bun run faults` tries others. A failure
 * is repeated by `bun run faults --only ROW --first-seed 1 --seeds 1`.
 */

const SEED = 1;
const hasRedis = hasRedisServer();

/** Trials at once: they mostly wait, but each has several processes. */
const PARALLEL = 4;
/** Bun starts all concurrent tests of a file at once. */
const inTurn = createTurns(PARALLEL);

for (const row of ROWS)
  describe(row.name, () => {
    for (const store of row.stores)
      test.skipIf(store === "redis" && !hasRedis).concurrent(
        `on ${store}`,
        () =>
          inTurn(async () => {
            const { error } = await runTrial(row, { store, seed: SEED, leaseMs: TEST_LEASE_MS });
            if (error !== null) throw error;
          }),
        600_000,
      );
  });
