import type { DueCallback, SettleCallbackRequest, TakeCallbacksRequest } from "../outbox.ts";
import type { Context } from "./context.ts";

/** Store.takeCallbacks */
export async function takeCallbacks(
  { data, keys }: Context,
  { limit, visibilityMs }: TakeCallbacksRequest,
): Promise<readonly DueCallback[]> {
  const answer = await data.script(
    "take-callbacks",
    [keys.callbacks],
    [limit, visibilityMs, keys.jobPrefix],
  );
  return (answer as readonly string[]).map((line) => {
    const [attempt, id = ""] = line.split(" ");
    return { id, attempt: Number(attempt) };
  });
}

/** Store.settleCallback */
export async function settleCallback(
  { data, keys }: Context,
  { id, attempt, retryInMs, isUntried = false }: SettleCallbackRequest,
): Promise<void> {
  await data.script(
    "settle-callback",
    [keys.callbacks, keys.job(id)],
    [id, attempt, retryInMs ?? "", isUntried ? 1 : 0],
  );
}
