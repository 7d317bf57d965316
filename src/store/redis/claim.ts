import type { JobRecord } from "../../jobs/job.ts";
import type { BeatAnswer, BeatRequest, ClaimRequest } from "../store.ts";
import { PRIORITY_HEAD_START_MS } from "../timing.ts";
import { decodeRecord } from "./codec.ts";
import type { Context } from "./context.ts";
import { callScript } from "./scripts.ts";

/** Bounds the time that one call may keep the server from everyone else. */
const STALE_IDS_PER_CALL = 100;

/** Store.claim */
export async function claim(
  context: Context,
  { owner, slot, token }: ClaimRequest,
): Promise<JobRecord | null> {
  const { data, keys, timing, grace } = context;
  for (;;) {
    const answer = await data.run(async (client) => {
      await grace.passed(client);
      return await callScript(
        client,
        "claim",
        [...keys.shared, keys.slots(owner)],
        [
          owner,
          slot,
          token,
          timing.leaseMs,
          keys.jobPrefix,
          keys.logPrefix,
          STALE_IDS_PER_CALL,
          PRIORITY_HEAD_START_MS,
        ],
      );
    });
    if (answer === "none") return null;
    if (answer !== "more") return decodeRecord(answer as readonly string[]);
  }
}

/** Store.beat */
export async function beat(
  { data, keys, timing }: Context,
  { owner, held, ended = [] }: BeatRequest,
): Promise<BeatAnswer> {
  const claims = [
    ...held.map(({ id, epoch }) => ({ id, epoch, what: "held" })),
    ...ended.map(({ id, epoch }) => ({ id, epoch, what: "ended" })),
    // The latest claim of a job first: where the server has forgotten them all, it is the one to be entered again.
  ].sort((a, b) => b.epoch - a.epoch);
  const { generation } = data;
  const answer = await data.run(async (client) => {
    // One that was begun before the connection was lost may lack what was claimed since: no sign that all is entered again.
    const isFresh = data.generation === generation;
    return await callScript(
      client,
      "beat",
      [
        ...keys.shared,
        keys.slots(owner),
        keys.workersSeen,
        ...claims.flatMap(({ id }) => [keys.job(id), keys.log(id)]),
      ],
      [
        owner,
        timing.leaseMs,
        timing.sweepIntervalMs,
        isFresh ? 1 : 0,
        ...claims.flatMap(({ id, epoch, what }) => [id, epoch, what]),
      ],
    );
  });
  const [cancelled, fenced, unfinished] = answer as readonly (readonly number[])[];
  const isAt = (positions: readonly number[] = []) =>
    claims
      .filter((_, index) => positions.includes(index + 1))
      .map(({ id, epoch }) => ({ id, epoch }));
  return { cancelled: isAt(cancelled), fenced: isAt(fenced), unfinished: isAt(unfinished) };
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
