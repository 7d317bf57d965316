import { type KeyUse, limitReached, type SubmitLimits, type WindowUse } from "../../jobs/quotas.ts";
import type { Context } from "./context.ts";

/** Throws `queue_full` or `quota_exceeded` where submit.lua has answered that a limit is reached. */
export function throwWhereRefused(answer: unknown, limits: SubmitLimits): void {
  const [, limit, waitMs] =
    /^refused (\w+) (\d+)$/.exec(typeof answer === "string" ? answer : "") ?? [];
  if (limit !== undefined)
    throw limitReached(limits, { limit: limit as keyof SubmitLimits, waitMs: Number(waitMs) });
}

/** Store.keyUse */
export async function keyUse({ data, keys }: Context, keyId: string): Promise<KeyUse> {
  const of = keys.ofKey(keyId);
  return await data.run(async (client) => {
    const windowUse = async (counter: string): Promise<WindowUse> => {
      const [used, leftMs] = await Promise.all([client.get(counter), client.pttl(counter)]);
      // Below 0: it is gone.
      return { used: Number(used ?? 0), resetMs: Math.max(leftMs, 0) };
    };
    const [active, submits, cpuMs] = await Promise.all([
      client.scard(of.active),
      windowUse(of.submits),
      windowUse(of.cpuMs),
    ]);
    return { active, submits, cpuMs };
  });
}
