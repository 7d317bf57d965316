import { describe } from "bun:test";
import { appendContract } from "./store-append-contract.ts";
import { behindContract } from "./store-behind-contract.ts";
import { claimContract } from "./store-claim-contract.ts";
import { endContract } from "./store-end-contract.ts";
import type { StoreHarness } from "./store-harness.ts";
import { keyContract } from "./store-key-contract.ts";
import { listingContract } from "./store-listing-contract.ts";
import { outboxContract } from "./store-outbox-contract.ts";
import { readLogContract } from "./store-read-contract.ts";
import { recoveryContract } from "./store-recovery-contract.ts";
import { retentionContract } from "./store-retention-contract.ts";
import { submitOnceContract } from "./store-once-contract.ts";
import { quotaContract } from "./store-quota-contract.ts";
import { statsContract } from "./store-stats-contract.ts";
import { submitContract } from "./store-submit-contract.ts";
import { sweepContract } from "./store-sweep-contract.ts";

/** Registers every promise of src/store/store.ts as a test of one driver. */
export function storeContract(name: string, harness: StoreHarness): void {
  describe(`${name} keeps the store's promises`, () => {
    // Each part in a describe of its own: their beforeEach hooks would else run for one another's tests.
    for (const [about, register] of [
      ["submitting", submitContract],
      ["submitting once", submitOnceContract],
      ["claiming", claimContract],
      ["writing logs", appendContract],
      ["a log that ends too early", behindContract],
      ["reading logs", readLogContract],
      ["ending", endContract],
      ["handing back", recoveryContract],
      ["finding the dead", sweepContract],
      ["listing", listingContract],
      ["retention", retentionContract],
      ["telling of ends", outboxContract],
      ["counting", statsContract],
      ["jobs of API keys", keyContract],
      ["quotas", quotaContract],
    ] as const)
      describe(about, () => {
        register(harness);
      });
  });
}
