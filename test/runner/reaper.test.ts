import { afterAll, beforeAll, expect, test } from "bun:test";
import { AppError } from "../../src/errors.ts";
import type { InputFile, JobRecord, NewJob } from "../../src/jobs/job.ts";
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

const reaperOptions: ReaperOptions = {
  sweepIntervalMs: 20,
  retentionMs: 1_000_000,
  abandonedUploadMs: 1_000_000,
  isDead: () => false,
  onRecovered: () => undefined,
  onFoldersRemoved: () => undefined,
  onError: (error) => console.error(error),
};

test("the jobs of a dead owner are brought back, those of a living one are left alone", async () => {
  const { job: orphan } = await claim("dead");
  const { job: held } = await claim("living");
  const recovered = Promise.withResolvers<SweepAnswer>();
  const service = createReaper(workshop.store, workshop.files, {
    ...reaperOptions,
    isDead: (owner) => owner === "dead",
    onRecovered: recovered.resolve,
  });
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
    lastSeq: 0,
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
    // Older than a moment that is still to come: whatever ended just now.
    retentionMs: -60_000,
    abandonedUploadMs: 1_000_000,
    isDead: () => false,
    onRecovered: () => undefined,
    onFoldersRemoved: () => undefined,
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

test("a folder that resists does not keep the others from being removed", async () => {
  const resisting = await claim("owner");
  const good = await claim("owner");
  for (const { job } of [resisting, good])
    await workshop.store.finish({
      id: job.id,
      epoch: job.epoch,
      owner: "owner",
      lastSeq: 0,
      outcome: outcomeWithoutRun("failed", "sandbox_error", "x"),
      log: { bytes: 0, droppedBytes: 0 },
    });
  const files = overridden(workshop.files, {
    remove: (id) =>
      id === resisting.job.id ? Promise.reject(new Error("not empty")) : workshop.files.remove(id),
  });
  const removed = Promise.withResolvers<void>();
  const store = overridden(workshop.store, {
    remove: async (id) => {
      const answer = await workshop.store.remove(id);
      if (id === good.job.id) removed.resolve();
      return answer;
    },
  });
  const errors: unknown[] = [];
  const service = createReaper(store, files, {
    ...reaperOptions,
    // Older than a moment that is still to come: whatever ended just now.
    retentionMs: -60_000,
    onError: (error) => errors.push(error),
  });
  await service.start();
  await removed.promise;
  await service.stop();
  expect(errors.map(String)).toEqual(["Error: not empty"]);
  expect(await workshop.store.get(good.job.id)).toBeNull();
  expect(await workshop.store.get(resisting.job.id)).not.toBeNull();
});

test("an upload without a job is removed, one whose job is stored is not", async () => {
  const orphan = await workshop.files.beginUpload("orphan");
  const file = await orphan.add({ path: "a", role: "code", bytes: new Blob(["a"]).stream() });
  await orphan.commit();
  const unconfirmed = await workshop.files.beginUpload("stored");
  const input = await unconfirmed.add({
    path: "main.sh",
    role: "code",
    bytes: new Blob(["true"]).stream(),
  });
  await unconfirmed.commit();
  await workshop.store.submit({
    ...(await workshop.prepare("true")),
    id: "stored",
    files: [input],
  });
  const swept = Promise.withResolvers<number>();
  const files = overridden(workshop.files, {
    removeAbandonedUploads: async (options) => {
      const removed = await workshop.files.removeAbandonedUploads(options);
      swept.resolve(removed);
      return removed;
    },
  });
  const service = createReaper(workshop.store, files, {
    ...reaperOptions,
    // Older than a moment that is still to come.
    abandonedUploadMs: -60_000,
  });
  await service.start();
  expect(await swept.promise).toBe(1);
  await service.stop();
  const read = async (id: string, uploaded: InputFile) => {
    const parts: string[] = [];
    for await (const part of workshop.files.readInput(id, uploaded))
      parts.push(Buffer.from(part).toString());
    return parts.join("");
  };
  expect(await read("stored", input)).toBe("true");
  expect(await read("orphan", file).catch((error: unknown) => String(error))).toContain("gone");
});

/** Together with the retention older than a moment that is still to come. */
const AS_OLD_AS_NOTHING_MS = -60_000 - reaperOptions.retentionMs;

test("a folder whose job the store has lost is removed, and told of; one with a job is not", async () => {
  const { job, submitted } = await claim("owner");
  // Never submitted: what a store remembers that lost the job with the last second before a crash.
  const lost = await workshop.prepare("true");
  const told = Promise.withResolvers<number>();
  const service = createReaper(workshop.store, workshop.files, {
    ...reaperOptions,
    abandonedUploadMs: AS_OLD_AS_NOTHING_MS,
    onFoldersRemoved: told.resolve,
    onError: told.reject,
  });
  await service.start();
  // Tests before this one have left some, too.
  expect(await told.promise).toBeGreaterThan(0);
  await service.stop();
  const canBeRead = async (id: string, [file]: readonly InputFile[]) => {
    if (file === undefined) throw new Error("No file");
    try {
      for await (const _chunk of workshop.files.readInput(id, file)) return true;
    } catch (error) {
      if (error instanceof AppError && error.code === "not_found") return false;
      throw error;
    }
    return true;
  };
  expect(await canBeRead(lost.id, lost.files)).toBe(false);
  expect(await canBeRead(job.id, submitted.files)).toBe(true);
});

test("a store that gives no answer costs no folder", async () => {
  const unknown = await workshop.prepare("true");
  const broken = overridden(workshop.store, {
    get: () => Promise.reject(new AppError("store_unavailable", "gone")),
  });
  const failed = Promise.withResolvers<unknown>();
  const service = createReaper(broken, workshop.files, {
    ...reaperOptions,
    abandonedUploadMs: AS_OLD_AS_NOTHING_MS,
    onFoldersRemoved: () => failed.reject(new Error("A folder was removed")),
    onError: failed.resolve,
  });
  await service.start();
  expect(await failed.promise).toMatchObject({ code: "store_unavailable" });
  await service.stop();
  const [file] = unknown.files;
  if (file === undefined) throw new Error("No file");
  for await (const chunk of workshop.files.readInput(unknown.id, file))
    expect(Buffer.from(chunk).toString()).toBe("true");
  expect.assertions(2);
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
    abandonedUploadMs: 1_000_000,
    isDead: () => false,
    onRecovered: () => undefined,
    onFoldersRemoved: () => undefined,
    onError: (error) => {
      if (errors.push(error) === 2) twice.resolve();
    },
  });
  await service.start();
  await twice.promise;
  await service.stop();
});
