import type { JobRecord } from "../../jobs/job.ts";
import type { BeatAnswer, BeatRequest, ClaimRequest } from "../store.ts";
import { decodeRecord } from "./codec.ts";
import type { Context } from "./context.ts";

/** Bounds the time that one call may keep the server from everyone else. */
const STALE_IDS_PER_CALL = 100;

/** Store.claim */
export async function claim(
  context: Context,
  { owner, slot, token }: ClaimRequest,
): Promise<JobRecord | null> {
  const { data, keys, timing } = context;
  for (;;) {
    const answer = await data.script(
      "claim",
      [...keys.shared, keys.slots(owner)],
      [owner, slot, token, timing.leaseMs, keys.jobPrefix, keys.logPrefix, STALE_IDS_PER_CALL],
    );
    if (answer === "none") return null;
    if (answer !== "more") return decodeRecord(answer as readonly string[]);
  }
}

/** Store.beat */
export async function beat(
  { data, keys, timing }: Context,
  { owner, held: claims }: BeatRequest,
): Promise<BeatAnswer> {
  // The latest claim of a job first: where the server has forgotten them all, it is the one to be entered again.
  const held = [...claims].sort((a, b) => b.epoch - a.epoch);
  const answer = await data.script(
    "beat",
    [...keys.shared, keys.slots(owner), ...held.flatMap(({ id }) => [keys.job(id), keys.log(id)])],
    [
      owner,
      timing.leaseMs,
      timing.sweepIntervalMs,
      ...held.flatMap(({ id, epoch }) => [id, epoch]),
    ],
  );
  const [cancelled, fenced] = answer as readonly [readonly number[], readonly number[]];
  const isAt = (positions: readonly number[]) =>
    held
      .filter((_, index) => positions.includes(index + 1))
      .map(({ id, epoch }) => ({ id, epoch }));
  return { cancelled: isAt(cancelled), fenced: isAt(fenced) };
}

/** Store.leaseOwners */
export async function leaseOwners(context: Context): Promise<readonly string[]> {
  const leases = await leasesByOwner(context);
  return [...leases.keys()];
}

/** The ids of the jobs that each owner holds a lease of. As long as the list of all busy slots, which is never long. */
export async function leasesByOwner({
  data,
  keys,
}: Context): Promise<ReadonlyMap<string, readonly string[]>> {
  return await data.run(async (client) => {
    const ids = await client.zrange(keys.running, "0", "-1");
    const owners = await Promise.all(
      ids.map(async (id) => await client.hget(keys.job(id), "owner")),
    );
    const leases = new Map<string, string[]>();
    for (const [index, id] of ids.entries()) {
      const owner = owners[index];
      if (owner === undefined || owner === null) continue;
      const held = leases.get(owner) ?? [];
      held.push(id);
      leases.set(owner, held);
    }
    return leases;
  });
}
