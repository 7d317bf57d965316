import type { Context } from "./context.ts";
import { serverTimeMs } from "./server-clock.ts";

/** Store.expired. Two calls, no script: the clock only makes more jobs expire in between. */
export async function expired(
  { data, keys }: Context,
  { olderThanMs, limit }: { readonly olderThanMs: number; readonly limit: number },
): Promise<readonly string[]> {
  return await data.run(async (client) => {
    const nowMs = await serverTimeMs(client);
    return await client.zrangebyscore(
      keys.ended,
      "-inf",
      `(${(nowMs - olderThanMs).toString()}`,
      "LIMIT",
      0,
      limit,
    );
  });
}

/** Store.remove */
export async function remove({ data, keys }: Context, id: string): Promise<boolean> {
  return (await data.script("remove", [...keys.shared, keys.job(id), keys.log(id)], [id])) === 1;
}
