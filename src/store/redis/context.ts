import type { StoreTiming } from "../timing.ts";
import type { DataConnection } from "./connection.ts";
import type { Keys } from "./keys.ts";
import type { RestartGrace } from "./restart-grace.ts";

/** What every step needs. */
export interface Context {
  readonly data: DataConnection;
  readonly keys: Keys;
  readonly timing: StoreTiming;
  readonly grace: RestartGrace;
}
