import { randomUUID } from "node:crypto";

import type { JobRecord } from "../jobs/job.ts";
import { traceFields } from "../jobs/trace-context.ts";
import { type AttemptPorts, HANDED_BACK_MESSAGE } from "./attempt.ts";

/** Begins the run of a job, of which nothing may happen before `claimed` resolves. Resolves when it is over. */
type Begin = (job: JobRecord, claimed: Promise<void>) => Promise<void>;

/**
 * Claims of one process. One whose reply was lost may have taken a job: it is repeated as it was, slot and token, until
 * an answer has come.
 */
export function createClaims({ store, owner, log, onError }: AttemptPorts) {
  let unanswered: { readonly slot: number; readonly token: string } | null = null;
  const next = async (
    slot: number,
    onTaken?: (job: JobRecord) => void,
  ): Promise<JobRecord | null> => {
    // One that has failed may go on failing, on a full disk: nothing is made ready for it in vain.
    const isRepeat = unanswered !== null;
    unanswered ??= { slot, token: randomUUID() };
    const job = await store.claim({ owner, ...unanswered }, isRepeat ? undefined : onTaken);
    unanswered = null;
    return job;
  };
  return {
    unansweredSlot: () => unanswered?.slot ?? null,
    /**
     * Claims a job for a slot and begins it, if there is one. Rejects with what the claim does, once nothing of a job is left
     * that was begun for it.
     */
    async claimFor(slot: number, begin: Begin): Promise<void> {
      const { promise: claimed, resolve, reject } = Promise.withResolvers<void>();
      // Perhaps nobody waits for it.
      claimed.catch(() => undefined);
      const begun: Promise<void>[] = [];
      try {
        const job = await next(slot, (taken) => void begun.push(begin(taken, claimed)));
        if (job !== null && begun.length === 0) begun.push(begin(job, claimed));
        resolve();
      } catch (error) {
        reject(error);
        await Promise.all(begun);
        throw error;
      }
    },
    /** On stop: what such a claim may have taken would otherwise look like a crash of this worker. */
    async handBackUnanswered(): Promise<void> {
      if (unanswered === null) return;
      try {
        const job = await next(unanswered.slot);
        if (job === null) return;
        await store.release({ id: job.id, epoch: job.epoch, owner });
        const fields = { job_id: job.id, epoch: job.epoch, ...traceFields(job.traceparent) };
        log.debug("job_handed_back", HANDED_BACK_MESSAGE, fields);
      } catch (error) {
        onError("runner", error);
      }
    },
  };
}
