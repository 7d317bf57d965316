import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";

import type { DataConnection } from "./connection.ts";

/**
 * A server that was killed may come back without its last second, claims included: jobs that run then wait in the queue
 * again. Their workers enter those claims anew with the next beat, which each makes as soon as it is connected again
 * (connection.ts, reconnectDelayMs). So long nobody may claim, or such a job would run twice.
 */
const GRACE_MS = 1_500;

/** Tells a server that was restarted from a connection that was lost, by the server's run_id. */
export class RestartGrace {
  readonly #data: DataConnection;
  #checkedGeneration = -1;
  #runId: string | undefined;
  #endsAtMs = 0;

  constructor(data: DataConnection) {
    this.#data = data;
  }

  /**
   * Resolves when claims may be made on this connection. Part of the step that claims: the connection that is asked about
   * must be the one that is used. Rejects as its commands do.
   */
  async passed(client: Redis): Promise<void> {
    const { generation } = this.#data;
    if (generation !== this.#checkedGeneration) {
      const runId = /^run_id:(\w+)/m.exec(await client.info("server"))?.[1] ?? "";
      if (this.#runId !== undefined && this.#runId !== runId)
        this.#endsAtMs = performance.now() + GRACE_MS;
      this.#runId = runId;
      this.#checkedGeneration = generation;
    }
    const leftMs = this.#endsAtMs - performance.now();
    if (leftMs > 0) await delay(leftMs);
  }
}
