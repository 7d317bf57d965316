import { endNote } from "../../jobs/job.ts";
import { cancelledWithoutWorker, cpuMsOf, type Outcome } from "../../jobs/outcome.ts";
import { CPU_WINDOW_MS } from "../../jobs/quotas.ts";
import type { CancelAnswer, FinishAnswer, FinishRequest, LeaseKey } from "../store.ts";
import { RETRY_REASON } from "../../jobs/retry.ts";
import type { Context } from "./context.ts";

/** An outcome and its end note as the scripts take them. */
export function encodeEnding(outcome: Outcome): readonly [outcome: string, note: string] {
  return [JSON.stringify(outcome), JSON.stringify(endNote(outcome))];
}

/** Results of finish.lua that are no seq. */
const FENCED = -1;
const FINISHED = -2;

/** Store.finish */
export async function finish(
  { data, keys, timing }: Context,
  request: FinishRequest,
): Promise<FinishAnswer> {
  const { id, owner, epoch, lastSeq, outcome, log, markGap = false } = request;
  const answer = await data.script(
    "finish",
    [...keys.shared, keys.job(id), keys.log(id)],
    [
      id,
      owner,
      epoch,
      timing.leaseMs,
      outcome.status,
      ...encodeEnding(outcome),
      log.bytes,
      log.droppedBytes,
      lastSeq,
      markGap ? 1 : 0,
      cpuMsOf(outcome),
      CPU_WINDOW_MS,
    ],
  );
  if (answer === FENCED) return { kind: "fenced" };
  return answer === FINISHED ? { kind: "finished" } : { kind: "behind", lastSeq: Number(answer) };
}

/** Store.release */
export async function release(
  { data, keys }: Context,
  { id, owner, epoch }: LeaseKey,
): Promise<void> {
  await data.script(
    "release",
    [...keys.shared, keys.job(id), keys.log(id)],
    [id, owner, epoch, RETRY_REASON.release, ...encodeEnding(cancelledWithoutWorker())],
  );
}

/** Store.requestCancel */
export async function requestCancel({ data, keys }: Context, id: string): Promise<CancelAnswer> {
  const answer = await data.script(
    "cancel",
    [...keys.shared, keys.job(id), keys.log(id)],
    [id, ...encodeEnding(cancelledWithoutWorker())],
  );
  return answer as CancelAnswer;
}
