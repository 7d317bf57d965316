import { afterAll, beforeAll, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";

import { AppError } from "../../src/errors.ts";
import type { JobRecord } from "../../src/jobs/job.ts";
import { createLeaseKeeper, type LeaseKeeper } from "../../src/runner/lease.ts";
import { overridden } from "../support/overridden.ts";
import { openWorkshop, type Workshop } from "../support/workshop.ts";

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop();
});
afterAll(() => workshop.close());

async function claim(owner: string): Promise<JobRecord> {
  await workshop.store.submit(await workshop.prepare("true"));
  const job = await workshop.store.claim({ owner, slot: 0, token: crypto.randomUUID() });
  if (job === null) throw new Error("Nothing to claim");
  return job;
}

/** A held run whose calls can be awaited. */
function heldRun(job: JobRecord) {
  const cancelled = Promise.withResolvers<void>();
  const fenced = Promise.withResolvers<void>();
  return {
    run: { id: job.id, epoch: job.epoch, cancel: cancelled.resolve, fence: fenced.resolve },
    cancelled: cancelled.promise,
    fenced: fenced.promise,
  };
}

async function keeper(owner: string) {
  const errors: unknown[] = [];
  const leases = createLeaseKeeper(workshop.store, {
    owner,
    leaseMs: 60,
    outageMs: 60_000,
    onError: (error) => errors.push(error),
  });
  await leases.start();
  return { leases, errors };
}

test("a held run hears that it was cancelled", async () => {
  const { leases, errors } = await keeper("a");
  const { run, cancelled } = heldRun(await claim("a"));
  leases.hold(run);
  expect(await workshop.store.requestCancel(run.id)).toBe("signalled");
  await cancelled;
  await leases.stop();
  expect(errors).toEqual([]);
});

test("a held run hears that its lease is someone else's", async () => {
  const { leases } = await keeper("b");
  const { run, fenced } = heldRun(await claim("b"));
  leases.hold(run);
  await workshop.store.releaseOwner("b");
  await fenced;
  await leases.stop();
});

test("a run that is dropped hears nothing, and the others still do", async () => {
  const { leases } = await keeper("c");
  const dropped = heldRun(await claim("c"));
  const held = heldRun(await claim("c"));
  let heard = false;
  void dropped.cancelled.then(() => (heard = true));
  leases.hold(dropped.run);
  leases.hold(held.run);
  leases.drop(dropped.run);
  await workshop.store.requestCancel(dropped.run.id);
  await workshop.store.requestCancel(held.run.id);
  await held.cancelled;
  await leases.stop();
  expect(heard).toBe(false);
});

test("of two claims of one job only the old one is fenced, and only the new one cancelled", async () => {
  const { leases } = await keeper("d");
  const old = heldRun(await claim("d"));
  leases.hold(old.run);
  await workshop.store.releaseOwner("d");
  const again = await workshop.store.claim({ owner: "d", slot: 1, token: crypto.randomUUID() });
  if (again === null) throw new Error("Nothing to claim");
  const renewed = heldRun(again);
  let wronged = "";
  void renewed.fenced.then(() => (wronged = "the new claim was fenced"));
  leases.hold(renewed.run);
  await old.fenced;
  await workshop.store.requestCancel(again.id);
  await renewed.cancelled;
  await leases.stop();
  expect([again.id, wronged]).toEqual([old.run.id, ""]);
});

const claimOf = ({ id, epoch }: { readonly id: string; readonly epoch: number }) => ({
  id,
  epoch,
});

test("without the store for so long every run is given up and told of, one that is claimed then after its own time", async () => {
  const cutOff: unknown[] = [];
  const away = () => Promise.reject(new AppError("store_unavailable", "No answer."));
  const leases = createLeaseKeeper(overridden(workshop.store, { beat: away }), {
    owner: "f",
    leaseMs: 60,
    outageMs: 300,
    onCutOff: (run) => cutOff.push(run),
    onError: () => undefined,
  });
  await leases.start();
  const early = heldRun(await claim("f"));
  leases.hold(early.run);
  await early.fenced;
  const late = heldRun(await claim("f"));
  const fences = fencesOf(leases, await claim("f"));
  leases.hold(late.run);
  // A claim that was answered is word from the store.
  expect(fences()).toBe(0);
  await late.fenced;
  expect(fences()).toBe(1);
  await leases.stop();
  expect(cutOff.filter((each) => Bun.deepEquals(each, claimOf(early.run)))).toHaveLength(2);
  expect(cutOff.filter((each) => Bun.deepEquals(each, claimOf(late.run)))).toHaveLength(1);
});

test("a worker that had nothing to run in an outage runs what it claims after it", async () => {
  let isAway = true;
  const beaten = Promise.withResolvers<void>();
  const store = overridden(workshop.store, {
    beat: async (request) => {
      if (isAway) throw new AppError("store_unavailable", "No answer.");
      const answer = await workshop.store.beat(request);
      if (request.held.length > 0) beaten.resolve();
      return answer;
    },
  });
  const onError = () => undefined;
  const leases = createLeaseKeeper(store, { owner: "g", leaseMs: 60, outageMs: 100, onError });
  await leases.start();
  // Nothing tells that the outage is longer than `outageMs` by now.
  await delay(300);
  const fences = fencesOf(leases, await claim("g"));
  isAway = false;
  await beaten.promise;
  expect(fences()).toBe(0);
  await leases.stop();
});

/** Holds a run; gives how often it was fenced so far. */
function fencesOf(leases: LeaseKeeper, job: JobRecord): () => number {
  let fences = 0;
  const fence = () => (fences += 1);
  leases.hold({ id: job.id, epoch: job.epoch, cancel: () => undefined, fence });
  return () => fences;
}
