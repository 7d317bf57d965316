import { randomUUID } from "node:crypto";
import { join } from "node:path";

import type { AddressRange } from "./addresses.ts";
import type { Egress } from "./egress.ts";
import { startProxy } from "./proxy.ts";

export interface LocalEgressOptions {
  /** Where sockets are made; guests' uids must be able to reach it. */
  readonly directory: string;
  readonly extraAddresses: readonly AddressRange[];
}

/** Ways out by a proxy in this process, one for each job. */
export function createLocalEgress({ directory, extraAddresses }: LocalEgressOptions): Egress {
  return {
    async open(policy) {
      const socketPath = join(directory, `proxy-${randomUUID()}.sock`);
      const proxy = await startProxy({ socketPath, rules: { policy, extraAddresses } });
      return { socketPath, close: () => proxy.close() };
    },
  };
}
