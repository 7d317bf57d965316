import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";

import type { DataConnection } from "./connection.ts";

/**
 * A server that was killed may come back without its last second, claims included: jobs that run then wait in the queue
 * again. Their workers enter those claims anew with the next beat, which each makes as soon as it is connected again
 * (connection.ts, reconnectDelayMs: within a second). So long nobody may claim, or such a job would run twice; and longer,
 * for machines are busy after a crash.
 */
const GRACE_MS = 2_000;

/**
 * Tells a server that was restarted, or another that took its place, from a connection that was lost: by the server's
 * run_id, against that of the last connection, or in a process that has just been started that of the data (meta, run_id).
 */
export class RestartGrace {
  readonly #data: DataConnection;
  readonly #metaKey: string;
  #checkedGeneration = -1;
  #runId: string | null = null;

  constructor(data: DataConnection, metaKey: string) {
    this.#data = data;
    this.#metaKey = metaKey;
  }

  /**
   * Resolves when claims may be made on this connection. Part of the step that claims: the connection that is asked about
   * must be the one that is used. Rejects as its commands do, and when it is called again the grace begins anew.
   */
  async passed(client: Redis): Promise<void> {
    const { generation } = this.#data;
    if (generation === this.#checkedGeneration) return;
    const { runId, uptimeMs } = await readServer(client);
    const known = this.#runId ?? (await client.hget(this.#metaKey, "run_id"));
    if (known !== null && known !== runId)
      // Of another server that took over nobody knows when it did.
      await delay(Math.max(GRACE_MS - (this.#runId === null ? uptimeMs : 0), 0));
    if (known !== runId) await client.hset(this.#metaKey, "run_id", runId);
    this.#runId = runId;
    this.#checkedGeneration = generation;
  }
}

async function readServer(client: Redis): Promise<{ runId: string; uptimeMs: number }> {
  const info = await client.info("server");
  return {
    runId: /^run_id:(\w+)/m.exec(info)?.[1] ?? "",
    uptimeMs: Number(/^uptime_in_seconds:(\d+)/m.exec(info)?.[1] ?? 0) * 1_000,
  };
}
