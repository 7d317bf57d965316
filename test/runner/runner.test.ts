import { afterEach, beforeEach, describe, expect, test } from "bun:test";

import { createPulse, type Pulse } from "../../src/health/pulse.ts";
import type { JobRecord } from "../../src/jobs/job.ts";
import { isTerminal } from "../../src/jobs/states.ts";
import { pause, type Service } from "../../src/lifecycle.ts";
import { createGate, type Gate } from "../../src/runner/gate.ts";
import { createLeaseKeeper } from "../../src/runner/lease.ts";
import { createRunner, type RunnerOptions } from "../../src/runner/runner.ts";
import { createRuntimeRegistry } from "../../src/runtimes/registry.ts";
import type { Store } from "../../src/store/store.ts";
import { overridden } from "../support/overridden.ts";
import { recordedLog } from "../support/recorded-log.ts";
import { openWorkshop, type PrepareOptions, type Workshop } from "../support/workshop.ts";

const OWNER = "the-runner";
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

function openGate(): Gate {
  const gate = createGate();
  gate.open();
  return gate;
}

async function startRunner(
  options: Partial<RunnerOptions> = {},
  {
    store = workshop.store,
    ready = openGate(),
    pulse = createPulse(),
  }: { readonly store?: Store; readonly ready?: Gate; readonly pulse?: Pulse } = {},
) {
  const onError = (error: unknown) => {
    throw error;
  };
  const leases = createLeaseKeeper(store, {
    owner: OWNER,
    leaseMs: 300,
    outageMs: 60_000,
    onError,
  });
  const runner = createRunner(
    {
      ...workshop,
      store,
      runtimes: createRuntimeRegistry([workshop.shell], { strict: false }),
      leases,
      owner: OWNER,
      log: recordedLog().log,
      onError: (_step, error) => onError(error),
      ready,
      pulse,
    },
    { slots: 2, drainMs: 10_000, ...options },
  );
  services = [leases, runner];
  for (const service of services) await service.start();
  return runner;
}

async function submit(script: string, options?: PrepareOptions): Promise<string> {
  return (await workshop.store.submit(await workshop.prepare(script, options))).id;
}

/** Waits for the log to hold `text`, entry by entry. */
async function printed(id: string, text: string): Promise<void> {
  const signal = AbortSignal.timeout(10_000);
  for (;;) {
    const after = await workshop.store.lastEntryId(id);
    if ((await logText(id)).includes(text)) return;
    if (signal.aborted) throw new Error(`Never printed: ${text}`);
    await workshop.store.waitForEntries({ id, after, timeoutMs: 1_000 }, signal);
  }
}

async function logText(id: string): Promise<string> {
  const entries = await workshop.store.readLog({
    id,
    from: { epoch: 0, seq: 0 },
    maxBytes: 10_000_000,
  });
  return entries
    .flatMap((entry) => (entry.kind === "frames" ? entry.frames : []))
    .map(({ bytes }) => Buffer.from(bytes).toString())
    .join("");
}

async function ended(id: string): Promise<JobRecord> {
  const signal = AbortSignal.timeout(20_000);
  for (;;) {
    const after = await workshop.store.lastEntryId(id);
    const job = await workshop.store.get(id);
    if (job !== null && isTerminal(job.status)) return job;
    if (signal.aborted) throw new Error("Never ended");
    await workshop.store.waitForEntries({ id, after, timeoutMs: 1_000 }, signal);
  }
}

describe("the runner", () => {
  test("runs what was queued before it started, and what comes later", async () => {
    const before = await submit("echo before");
    await startRunner();
    const after = await submit("echo after");
    for (const [id, text] of [
      [before, "before\n"],
      [after, "after\n"],
    ] as const) {
      expect((await ended(id)).outcome?.status).toBe("succeeded");
      expect(await logText(id)).toBe(text);
    }
  });

  test("runs as many at once as it has slots, and not one more", async () => {
    await startRunner({ slots: 2 });
    const first = [await submit("echo up; sleep 1000"), await submit("echo up; sleep 1000")];
    const third = await submit("echo third");
    await Promise.all(first.map((id) => printed(id, "up")));
    expect((await workshop.store.get(third))?.status).toBe("queued");
    await workshop.store.requestCancel(first[0] ?? "");
    expect((await ended(third)).outcome?.status).toBe("succeeded");
    await workshop.store.requestCancel(first[1] ?? "");
    expect((await ended(first[1] ?? "")).outcome?.status).toBe("cancelled");
  });

  test("announces what it can run", async () => {
    await startRunner({ slots: 2 });
    await ended(await submit("true"));
    expect(await workshop.store.workers()).toEqual([
      {
        owner: OWNER,
        slots: 2,
        runtimes: [
          {
            name: "sh",
            version: "1",
            aliases: [],
            extensions: [".sh"],
            compiles: false,
            installs: null,
          },
        ],
      },
    ]);
  });

  test("a run whose lease is lost is killed, and nothing more of it is visible", async () => {
    await startRunner({ slots: 1 });
    const id = await submit("echo up; sleep 1000");
    await printed(id, "up");
    // As a sweep in another process would: the job goes back to the queue, and this runner takes it again.
    await workshop.store.releaseOwner(OWNER);
    const second = Promise.withResolvers<void>();
    const signal = AbortSignal.timeout(10_000);
    void (async () => {
      for (;;) {
        const job = await workshop.store.get(id);
        if (job?.epochs.length === 2 && job.status === "running") return second.resolve();
        if (signal.aborted) return second.reject(new Error("Not run again"));
        const after = await workshop.store.lastEntryId(id);
        await workshop.store.waitForEntries({ id, after, timeoutMs: 200 }, signal);
      }
    })();
    await second.promise;
    await workshop.store.requestCancel(id);
    const job = await ended(id);
    expect([job.outcome?.status, job.epochs.length, job.crashes]).toEqual(["cancelled", 2, 1]);
  });

  test("a claim whose reply is lost is asked for again, and its job runs once", async () => {
    const real = workshop.store;
    let lost = 0;
    const losing = overridden(real, {
      claim: async (request: Parameters<typeof real.claim>[0]) => {
        const job = await real.claim(request);
        if (job !== null && lost++ === 0) throw new Error("The reply was lost");
        return job;
      },
    });
    const id = await submit("echo once");
    const errors: unknown[] = [];
    const leases = createLeaseKeeper(real, {
      owner: OWNER,
      leaseMs: 300,
      outageMs: 60_000,
      onError: () => undefined,
    });
    const runner = createRunner(
      {
        ...workshop,
        store: losing,
        runtimes: createRuntimeRegistry([workshop.shell], { strict: false }),
        leases,
        owner: OWNER,
        log: recordedLog().log,
        onError: (_step, error) => errors.push(error),
        ready: openGate(),
        pulse: createPulse(),
      },
      { slots: 2, drainMs: 10_000 },
    );
    services = [leases, runner];
    for (const service of services) await service.start();
    const job = await ended(id);
    expect([job.outcome?.status, job.epochs.length]).toEqual(["succeeded", 1]);
    expect(await logText(id)).toBe("once\n");
    expect(errors.length).toBe(1);
  });

  test("while the gate is closed it claims nothing, and what runs goes on", async () => {
    const ready = openGate();
    await startRunner({}, { ready });
    const running = await submit("echo up; sleep 600");
    await printed(running, "up");
    ready.close();
    const waiting = await submit("echo late");
    await workshop.store.requestCancel(running);
    expect((await ended(running)).outcome?.status).toBe("cancelled");
    expect((await workshop.store.get(waiting))?.status).toBe("queued");
    ready.open();
    expect((await ended(waiting)).outcome?.status).toBe("succeeded");
  });

  test("a claim that hangs makes its pulse late, until it moves again", async () => {
    const pulse = createPulse();
    const hung = Promise.withResolvers<void>();
    const store = overridden(workshop.store, {
      claim: async (request) => {
        await hung.promise;
        return workshop.store.claim(request);
      },
    });
    const startedAtMs = performance.now();
    await startRunner({}, { store, pulse });
    while (!pulse.isLate()) await pause(20, AbortSignal.timeout(10_000));
    expect(performance.now() - startedAtMs).toBeLessThan(3_000);
    hung.resolve();
    await ended(await submit("true"));
    expect(pulse.isLate()).toBe(false);
  });

  test("while every slot is taken its pulse may rest, and beats again with the next claim", async () => {
    const beats: number[] = [];
    const pulse = { ...createPulse(), beat: (withinMs: number) => void beats.push(withinMs) };
    await startRunner({ slots: 1 }, { pulse });
    const id = await submit("echo up; sleep 1000");
    await printed(id, "up");
    expect(beats.at(-1)).toBe(Number.POSITIVE_INFINITY);
    await workshop.store.requestCancel(id);
    await ended(await submit("true"));
    // The slot is free a moment after the job has ended.
    while (beats.at(-1) === Number.POSITIVE_INFINITY) await pause(5, AbortSignal.timeout(5_000));
    expect(beats.at(-1)).toBeLessThan(10_000);
  });

  test("on stop it lets a job finish within the drain", async () => {
    const runner = await startRunner();
    const id = await submit("echo up; sleep 0.3; echo done");
    await printed(id, "up");
    await runner.stop();
    const job = await workshop.store.get(id);
    expect([job?.status, await logText(id)]).toEqual(["succeeded", "up\ndone\n"]);
  });

  test("on stop it hands back a job that outlives the drain", async () => {
    const runner = await startRunner({ drainMs: 0 });
    const id = await submit("echo up; sleep 1000");
    await printed(id, "up");
    await runner.stop();
    expect(await workshop.store.get(id)).toMatchObject({ status: "queued", crashes: 0 });
    expect(await workshop.store.leaseOwners()).toEqual([]);
  });
});
