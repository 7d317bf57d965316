import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";

import type { DataConnection } from "./connection.ts";
import type { Keys } from "./keys.ts";

/**
 * A server that was killed may come back without its last second, claims included: jobs that run then wait in the queue
 * again. Their workers enter those claims anew with the next beat, and until every worker has made one nobody may claim,
 * or such a job would run twice. Workers may have died with the server, so there is an end to the waiting.
 */
const MAX_GRACE_MS = 3_000;
/** Workers beat twice a second (runner/lease.ts): one that was alive in the server's last moments had done so not long before. */
const LAST_MOMENTS_MS = 2_000;
const LOOK_AGAIN_MS = 50;

/**
 * Tells a server that was restarted, or another that took its place, from a connection that was lost: by the server's
 * run_id, against that of the last connection, or in a process that has just been started that of the data (meta, run_id).
 */
export class RestartGrace {
  readonly #data: DataConnection;
  readonly #keys: Keys;
  #checkedGeneration = -1;
  #runId: string | null = null;

  constructor(data: DataConnection, keys: Keys) {
    this.#data = data;
    this.#keys = keys;
  }

  /**
   * Resolves when claims may be made on this connection. Part of the step that claims: the connection that is asked about
   * must be the one that is used. Rejects as its commands do, and when it is called again the grace begins anew.
   */
  async passed(client: Redis): Promise<void> {
    const { generation } = this.#data;
    if (generation === this.#checkedGeneration) return;
    const server = await readServer(client);
    const known = this.#runId ?? (await client.hget(this.#keys.meta, "run_id"));
    if (known !== null && known !== server.runId) {
      // Of another server that took over nobody knows when it did.
      const sinceMs = this.#runId === null ? server.uptimeMs : 0;
      await this.#untilAllHaveBeaten(client, server, MAX_GRACE_MS - sinceMs);
    }
    if (known !== server.runId) await client.hset(this.#keys.meta, "run_id", server.runId);
    this.#runId = server.runId;
    this.#checkedGeneration = generation;
  }

  /** Waits for a beat, from now on, of each worker that beat in the last moments before the restart. */
  async #untilAllHaveBeaten(
    client: Redis,
    { uptimeMs, nowMs }: ServerInfo,
    maxMs: number,
  ): Promise<void> {
    const endsAtMs = performance.now() + maxMs;
    const before = await this.#beats(client);
    const lastBeatMs = Math.max(
      ...[...before.values()].filter((beatMs) => beatMs <= nowMs - uptimeMs),
    );
    const expected = [...before.entries()]
      .filter(([, beatMs]) => beatMs >= lastBeatMs - LAST_MOMENTS_MS)
      .map(([owner]) => owner);
    while (performance.now() < endsAtMs) {
      await delay(LOOK_AGAIN_MS);
      const beats = await this.#beats(client);
      const isBack = (owner: string) => (beats.get(owner) ?? Number.POSITIVE_INFINITY) > nowMs;
      // Where nobody is known of there may be somebody all the same.
      if (expected.length > 0 && expected.every(isBack)) return;
    }
  }

  /** When each worker was last heard of, in the server's milliseconds. */
  async #beats(client: Redis): Promise<ReadonlyMap<string, number>> {
    const flat = await client.zrange(this.#keys.workersSeen, "0", "-1", "WITHSCORES");
    const pairs = flat.flatMap((owner, index): [string, number][] =>
      index % 2 === 0 ? [[owner, Number(flat[index + 1])]] : [],
    );
    return new Map(pairs);
  }
}

interface ServerInfo {
  readonly runId: string;
  /** Up to a second less than it is. */
  readonly uptimeMs: number;
  /** The server's clock, Unix milliseconds. */
  readonly nowMs: number;
}

async function readServer(client: Redis): Promise<ServerInfo> {
  const info = await client.info("server");
  const [seconds, microseconds] = await client.time();
  return {
    runId: /^run_id:(\w+)/m.exec(info)?.[1] ?? "",
    uptimeMs: Number(/^uptime_in_seconds:(\d+)/m.exec(info)?.[1] ?? 0) * 1_000,
    nowMs: Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000),
  };
}
