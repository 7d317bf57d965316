import { afterAll, beforeAll, expect, test } from "bun:test";
import { AppError } from "../../src/errors.ts";
import type { JobRecord, NewJob } from "../../src/jobs/job.ts";
import { outcomeWithoutRun } from "../../src/jobs/outcome.ts";
import { createReaper, type ReaperOptions } from "../../src/runner/reaper.ts";
import type { SweepAnswer } from "../../src/store/store.ts";
import { overridden } from "../support/overridden.ts";
import { openWorkshop, type Workshop } from "../support/workshop.ts";

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop();
});
afterAll(() => workshop.close());

async function claim(owner: string): Promise<{ job: JobRecord; submitted: NewJob }> {
  const submitted = await workshop.prepare("true");
  await workshop.store.submit(submitted);
  const job = await workshop.store.claim({ owner, slot: 0, token: crypto.randomUUID() });
  if (job === null) throw new Error("Nothing to claim");
  return { job, submitted };
}

function reaper(options: Partial<ReaperOptions>) {
  return createReaper(workshop.store, workshop.files, {
    sweepIntervalMs: 20,
    retentionMs: 1_000_000,
    isDead: () => false,
    onRecovered: () => undefined,
    onError: (error) => {
      throw error;
    },
    ...options,
  });
}

test("the jobs of a dead owner are brought back, those of a living one are left alone", async () => {
  const { job: orphan } = await claim("dead");
  const { job: held } = await claim("living");
  const recovered = Promise.withResolvers<SweepAnswer>();
  const service = reaper({ isDead: (owner) => owner === "dead", onRecovered: recovered.resolve });
  await service.start();
  expect(await recovered.promise).toEqual({ requeued: [orphan.id], lost: [], cancelled: [] });
  await service.stop();
  expect((await workshop.store.get(orphan.id))?.status).toBe("queued");
  expect((await workshop.store.get(held.id))?.status).toBe("running");
});

test("an ended job disappears after its retention, with its files; an active one stays", async () => {
  const { job, submitted } = await claim("owner");
  const { job: active } = await claim("owner");
  await workshop.store.finish({
    id: job.id,
    epoch: job.epoch,
    owner: "owner",
    outcome: outcomeWithoutRun("failed", "sandbox_error", "x"),
    log: { bytes: 0, droppedBytes: 0 },
  });
  const removed = Promise.withResolvers<void>();
  const { store } = workshop;
  // Watches the last step of a removal; the step itself is the real one.
  const watched = overridden(store, {
    remove: async (id) => {
      const answer = await store.remove(id);
      if (id === job.id) removed.resolve();
      return answer;
    },
  });
  const service = createReaper(watched, workshop.files, {
    sweepIntervalMs: 20,
    retentionMs: 0,
    isDead: () => false,
    onRecovered: () => undefined,
    onError: removed.reject,
  });
  await service.start();
  await removed.promise;
  await service.stop();
  expect(await store.get(job.id)).toBeNull();
  expect((await store.get(active.id))?.status).toBe("running");
  const [file] = submitted.files;
  if (file === undefined) throw new Error("No file");
  const reading = (async () => {
    for await (const _chunk of workshop.files.readInput(job.id, file)) return "read";
    return "empty";
  })();
  await expect(reading).rejects.toThrow(AppError);
});

test("a step that fails is reported, and the loop goes on", async () => {
  const errors: unknown[] = [];
  const twice = Promise.withResolvers<void>();
  const broken = overridden(workshop.store, {
    leaseOwners: () => Promise.reject(new AppError("store_unavailable", "gone")),
  });
  const service = createReaper(broken, workshop.files, {
    sweepIntervalMs: 5,
    retentionMs: 1_000_000,
    isDead: () => false,
    onRecovered: () => undefined,
    onError: (error) => {
      if (errors.push(error) === 2) twice.resolve();
    },
  });
  await service.start();
  await twice.promise;
  await service.stop();
});
