import { cancelledWithoutWorker, lostAfterCrashes } from "../../jobs/outcome.ts";
import { MAX_CRASHES } from "../../jobs/retry.ts";
import type { SweepAnswer } from "../store.ts";
import { RETRY_REASON } from "../../jobs/retry.ts";
import { leasesByOwner } from "./claim.ts";
import type { Context } from "./context.ts";
import { encodeEnding } from "./finish.ts";

/** Bounds the time that one call may keep the server from everyone else. */
const JOBS_PER_CALL = 100;

type Lists = readonly [
  requeued: readonly string[],
  lost: readonly string[],
  cancelled: readonly string[],
];

/** Store.sweep */
export async function sweep({ data, keys, timing }: Context): Promise<SweepAnswer> {
  const parts: Lists[] = [];
  for (;;) {
    const answer = await data.script("sweep", keys.shared, [
      timing.leaseMs,
      timing.sweepIntervalMs,
      JOBS_PER_CALL,
      keys.jobPrefix,
      keys.logPrefix,
      MAX_CRASHES,
      RETRY_REASON.sweep,
      ...encodeEnding(lostAfterCrashes()),
      ...encodeEnding(cancelledWithoutWorker()),
    ]);
    const [requeued, lost, cancelled, more] = answer as readonly [...Lists, number];
    parts.push([requeued, lost, cancelled]);
    if (more === 0) return joined(parts);
  }
}

/** Store.releaseOwner */
export async function releaseOwner(context: Context, owner: string): Promise<SweepAnswer> {
  const { data, keys } = context;
  // The latest first, as sweep.lua takes them.
  const ids = ((await leasesByOwner(context)).get(owner) ?? []).toReversed();
  const parts: Lists[] = [];
  for (let start = 0; start < ids.length; start += JOBS_PER_CALL) {
    const some = ids.slice(start, start + JOBS_PER_CALL);
    const answer = await data.script(
      "release-owner",
      [...keys.shared, ...some.flatMap((id) => [keys.job(id), keys.log(id)])],
      [
        owner,
        MAX_CRASHES,
        RETRY_REASON.sweep,
        ...encodeEnding(lostAfterCrashes()),
        ...encodeEnding(cancelledWithoutWorker()),
        ...some,
      ],
    );
    parts.push(answer as Lists);
  }
  return joined(parts);
}

function joined(parts: readonly Lists[]): SweepAnswer {
  return {
    requeued: parts.flatMap(([requeued]) => requeued),
    lost: parts.flatMap(([, lost]) => lost),
    cancelled: parts.flatMap(([, , cancelled]) => cancelled),
  };
}
