import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";

import type { DataConnection } from "./connection.ts";
import type { Keys } from "./keys.ts";
import { serverTimeMs } from "./server-clock.ts";

/**
 * A server that was killed may come back without its last second, claims included: jobs that run then wait in the queue
 * again. Their workers enter those claims anew with the next beat, and until every worker has made one nobody may claim,
 * or such a job would run twice. Workers may have died with the server, so there is an end to the waiting. Of a worker that
 * was started in that last second the server knows nothing: it is not waited for.
 */
const MAX_GRACE_MS = 3_000;
/** Workers beat twice a second (runner/lease.ts): one that was alive in the server's last moments had done so not long before. */
const LAST_MOMENTS_MS = 2_000;
/** uptime_in_seconds is the difference of two clocks of whole seconds (redis/src/server.c): off by up to a second, either way. */
const UPTIME_ERROR_MS = 1_000;
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
    if (known !== null && known !== server.runId) await this.#untilAllHaveBeaten(client, server);
    if (known !== server.runId) await client.hset(this.#keys.meta, "run_id", server.runId);
    this.#runId = server.runId;
    this.#checkedGeneration = generation;
  }

  /** Waits for a beat (or an announcement) from now on of each worker that was heard of in the last moments before the restart. */
  async #untilAllHaveBeaten(client: Redis, { uptimeMs, nowMs }: ServerInfo): Promise<void> {
    const endsAtMs = performance.now() + MAX_GRACE_MS;
    const before = await this.#beats(client);
    // A beat that came after the restart would hide those who were last heard of before it.
    const startedAtMs = nowMs - uptimeMs - UPTIME_ERROR_MS;
    const lastBeatMs = Math.max(...[...before.values()].filter((beatMs) => beatMs <= startedAtMs));
    const expected = [...before.entries()]
      .filter(([, beatMs]) => beatMs >= lastBeatMs - LAST_MOMENTS_MS)
      .map(([owner]) => owner);
    while (performance.now() < endsAtMs) {
      await delay(LOOK_AGAIN_MS);
      const beats = await this.#beats(client);
      // Another time, not a later one: a server that took over may have a clock that is behind.
      const isBack = (owner: string) => beats.has(owner) && beats.get(owner) !== before.get(owner);
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
  readonly uptimeMs: number;
  /** The server's clock, Unix milliseconds. */
  readonly nowMs: number;
}

async function readServer(client: Redis): Promise<ServerInfo> {
  const info = await client.info("server");
  return {
    runId: /^run_id:(\w+)/m.exec(info)?.[1] ?? "",
    uptimeMs: Number(/^uptime_in_seconds:(\d+)/m.exec(info)?.[1] ?? 0) * 1_000,
    nowMs: await serverTimeMs(client),
  };
}
