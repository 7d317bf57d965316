import type { Redis } from "ioredis";

/** The server's clock, Unix milliseconds: times in the store are never a caller's. */
export async function serverTimeMs(client: Redis): Promise<number> {
  const [seconds, microseconds] = await client.time();
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
}
