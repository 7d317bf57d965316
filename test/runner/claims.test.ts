import { afterEach, beforeEach, expect, test } from "bun:test";

import { AppError } from "../../src/errors.ts";
import { createPulse } from "../../src/health/pulse.ts";
import { isTerminal } from "../../src/jobs/states.ts";
import type { Service } from "../../src/lifecycle.ts";
import { createGate } from "../../src/runner/gate.ts";
import { createLeaseKeeper } from "../../src/runner/lease.ts";
import { createRunner } from "../../src/runner/runner.ts";
import { createRuntimeRegistry } from "../../src/runtimes/registry.ts";
import type { Sandbox } from "../../src/sandbox/sandbox.ts";
import type { Store } from "../../src/store/store.ts";
import { overridden } from "../support/overridden.ts";
import { recordedLog } from "../support/recorded-log.ts";
import { openWorkshop, type Workshop } from "../support/workshop.ts";

/*
 * Jobs that a worker is told of while their claims are still being stored.
 */

let workshop: Workshop;
let services: Service[] = [];
beforeEach(async () => {
  workshop = await openWorkshop();
});
afterEach(async () => {
  for (const service of services.toReversed()) await service.stop();
  services = [];
  await workshop.close();
});

async function startRunner(store: Store, sandbox: Sandbox): Promise<{ errors: unknown[] }> {
  const errors: unknown[] = [];
  const gate = createGate();
  gate.open();
  const owner = "the-runner";
  const leases = createLeaseKeeper(store, {
    owner,
    leaseMs: 300,
    outageMs: 60_000,
    onError: (error) => errors.push(error),
  });
  const runner = createRunner(
    {
      ...workshop,
      store,
      sandbox,
      runtimes: createRuntimeRegistry([workshop.shell], { strict: false }),
      leases,
      owner,
      log: recordedLog().log,
      onError: (_step, error) => errors.push(error),
      ready: gate,
      pulse: createPulse(),
    },
    { slots: 2, drainMs: 10_000 },
  );
  services = [leases, runner];
  for (const service of services) await service.start();
  return { errors };
}

async function ended(id: string) {
  for (;;) {
    const after = await workshop.store.lastEntryId(id);
    const job = await workshop.store.get(id);
    if (job !== null && isTerminal(job.status)) return job;
    await workshop.store.waitForEntries({ id, after, timeoutMs: 10_000 }, AbortSignal.any([]));
  }
}

test("a job is handed over while its claim is being stored, and does not run before it is", async () => {
  const stored = Promise.withResolvers<void>();
  const claiming = overridden(workshop.store, {
    claim: async (request, onTaken) => {
      const job = await workshop.store.claim(request);
      if (job === null) return null;
      onTaken?.(job);
      await stored.promise;
      return job;
    },
  });
  // Asked for when nothing else is left to wait for.
  const asked = Promise.withResolvers<void>();
  const sandbox = overridden(workshop.sandbox, {
    start: (request) => {
      const watched = {
        ...request,
        get mayStart() {
          asked.resolve();
          return request.mayStart as Promise<void>;
        },
      };
      return workshop.sandbox.start(watched);
    },
  });
  const { errors } = await startRunner(claiming, sandbox);
  const { id } = await workshop.store.submit(await workshop.prepare("echo ran"));
  await asked.promise;
  // The marker of the attempt, which the claim wrote, is all that there is.
  expect((await workshop.store.lastEntryId(id))?.seq).toBe(0);
  stored.resolve();
  expect((await ended(id)).status).toBe("succeeded");
  expect(errors).toEqual([]);
});

test("a job whose claim is not stored after all does not run, and is claimed again as any other", async () => {
  const refusal = new AppError("storage_full", "no room");
  let starts = 0;
  const leftovers: unknown[] = [];
  const { id } = await workshop.store.submit(await workshop.prepare("echo once"));
  const queued = await workshop.store.get(id);
  let refused = 0;
  const toldAgain: boolean[] = [];
  const claiming = overridden(workshop.store, {
    claim: async (request, onTaken) => {
      if (queued === null || refused > 0) {
        toldAgain.push(onTaken !== undefined);
        return await workshop.store.claim(request, onTaken);
      }
      onTaken?.({ ...queued, epoch: 1, epochs: [1] });
      refused += 1;
      throw refusal;
    },
    append: (request) => (request.epoch === 1 ? leak(request) : workshop.store.append(request)),
    finish: (request) => (request.epoch === 1 ? leak(request) : workshop.store.finish(request)),
    release: (lease) => (lease.epoch === 1 ? leak(lease) : workshop.store.release(lease)),
  });
  const leak = (what: unknown) => {
    leftovers.push(what);
    return Promise.reject(new Error("Nothing is to be stored of it"));
  };
  const sandbox = overridden(workshop.sandbox, {
    start: async (request) => {
      starts += 1;
      return await workshop.sandbox.start(request);
    },
  });
  const { errors } = await startRunner(claiming, sandbox);
  const job = await ended(id);
  expect([job.status, job.epochs.length, starts]).toEqual(["succeeded", 1, 2]);
  expect(errors).toEqual([refusal]);
  expect(leftovers).toEqual([]);
  // One that is made again is not made ready for once more, in vain.
  expect(toldAgain[0]).toBe(false);
});
