import { afterAll, beforeAll, expect, test } from "bun:test";

import { AppError } from "../../src/errors.ts";
import { runAttempt } from "../../src/runner/attempt.ts";
import { createLeaseKeeper } from "../../src/runner/lease.ts";
import type { StoredEnd } from "../../src/runner/recent-ends.ts";
import { createRuntimeRegistry } from "../../src/runtimes/registry.ts";
import type { AppendRequest, FinishRequest, LeaseKey, Store } from "../../src/store/store.ts";
import { overridden } from "../support/overridden.ts";
import { type LoggedLine, recordedLog } from "../support/recorded-log.ts";
import { openWorkshop, type PrepareOptions, type Workshop } from "../support/workshop.ts";

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop();
});
afterAll(() => workshop.close());

interface AttemptOptions extends PrepareOptions {
  /** Collects the ends that are kept in case that the store forgets them. */
  readonly ends?: StoredEnd[];
  /** Collects what takes the lease from the run. */
  readonly fences?: (() => void)[];
  /** Absent: it is by now. */
  readonly claimed?: Promise<void>;
}

async function attempt(
  script: string,
  store: Store,
  { ends = [], fences = [], claimed = Promise.resolve(), ...options }: AttemptOptions = {},
) {
  await workshop.store.submit(await workshop.prepare(script, options));
  const job = await workshop.store.claim({ owner: "me", slot: 0, token: crypto.randomUUID() });
  if (job === null) throw new Error("Nothing to claim");
  const errors: unknown[] = [];
  const { log, lines } = recordedLog();
  const leases = createLeaseKeeper(store, {
    owner: "me",
    leaseMs: 1000,
    outageMs: 60_000,
    onError: (error) => errors.push(error),
  });
  await runAttempt(
    {
      ...workshop,
      store,
      runtimes: createRuntimeRegistry([workshop.shell], { strict: false }),
      leases: overridden(leases, {
        hold: (run) => {
          fences.push(() => run.fence());
          leases.hold(run);
        },
        ended: (_run, end) => void ends.push(end),
      }),
      owner: "me",
      log,
      onError: (_step, error, fields) => {
        expect(fields).toEqual({ job_id: job.id, epoch: job.epoch, attempt: 1 });
        errors.push(error);
      },
    },
    job,
    { slot: 0, claimed, drained: new AbortController().signal },
  );
  return { job: await workshop.store.get(job.id), errors, lines };
}

/** A store that does the step and loses the reply, the first time that each member is called. */
function losingReplies(store: Store): Store & { readonly lost: string[] } {
  const lost: string[] = [];
  const losing =
    <A extends unknown[], R>(name: string, step: (...given: A) => Promise<R>) =>
    async (...given: A): Promise<R> => {
      const answer = await step(...given);
      if (lost.includes(name)) return answer;
      lost.push(name);
      throw new AppError("store_unavailable", "The reply was lost.");
    };
  return Object.assign(
    overridden(store, {
      append: losing("append", (request: AppendRequest) => store.append(request)),
      finish: losing("finish", (request: FinishRequest) => store.finish(request)),
    }),
    { lost },
  );
}

test("lost replies of append and finish change nothing: each step is made again, and counts once", async () => {
  const store = losingReplies(workshop.store);
  const { job, errors } = await attempt("echo one; sleep 0.05; echo two", store);
  expect(store.lost.toSorted()).toEqual(["append", "finish"]);
  expect(job).toMatchObject({ status: "succeeded", log: { bytes: 8, droppedBytes: 0 } });
  expect(errors).toEqual([]);
  const entries = await workshop.store.readLog({
    id: job?.id ?? "",
    from: { epoch: 0, seq: 0 },
    maxBytes: 1_000_000,
  });
  const text = entries
    .flatMap((entry) => (entry.kind === "frames" ? entry.frames : []))
    .map(({ bytes }) => Buffer.from(bytes).toString());
  expect(text.join("")).toBe("one\ntwo\n");
  expect(entries.filter(({ kind }) => kind === "end").length).toBe(1);
});

test("the promised runtime is found by its own name, whatever the spec called it", async () => {
  const { job } = await attempt("true", workshop.store, { spec: { runtime: "posix" } });
  expect(job?.status).toBe("succeeded");
});

test("a job whose runtime this worker does not have ends with that reason", async () => {
  const { job } = await attempt("true", workshop.store, {
    spec: { runtime: "cobol" },
    runtime: { name: "cobol85", version: "85" },
  });
  expect(job).toMatchObject({ status: "failed", outcome: { reason: "sandbox_error" } });
  expect(job?.outcome?.error).toContain('"cobol"');
});

test("a worker that fails on a job says so and hands it back; that is no crash", async () => {
  const broken = overridden(workshop.store, {
    finish: () => Promise.reject(new TypeError("a bug")),
  });
  const { job, errors } = await attempt("true", broken);
  expect(errors.map(String)).toEqual(["TypeError: a bug"]);
  expect(job).toMatchObject({ status: "queued", crashes: 0, retryReason: "worker_drained" });
  await workshop.store.requestCancel(job?.id ?? "");
});

test("a full store does not keep a job from ending: what it has no room for is dropped and counted", async () => {
  const full = overridden(workshop.store, {
    append: () => Promise.reject(new AppError("storage_full", "no room")),
  });
  const { job, errors } = await attempt("echo lost; exit 3", full);
  expect(errors).toEqual([]);
  expect(job).toMatchObject({
    status: "failed",
    log: { bytes: 0, droppedBytes: 5 },
    outcome: { exitCode: 3 },
  });
}, 20_000);

test.each([
  ["stored, is counted as stored", true, { bytes: 5, droppedBytes: 0 }],
  ["not stored, is dropped and counted", false, { bytes: 0, droppedBytes: 5 }],
])(
  "output whose append got no answer, and then found the store full, but was %s",
  async (_name, isStored, log) => {
    let asked = 0;
    const filling = overridden(workshop.store, {
      append: async (request) => {
        if (asked++ > 0) throw new AppError("storage_full", "no room");
        if (isStored) await workshop.store.append(request);
        throw new AppError("store_unavailable", "The reply was lost.");
      },
    });
    const { job, errors } = await attempt("echo kept", filling);
    expect(asked).toBeGreaterThan(1);
    expect([errors, job?.status, job?.log]).toEqual([[], "succeeded", log]);
  },
  20_000,
);

test("a tail that the store lost before the end is sent again", async () => {
  let asked = 0;
  const store = overridden(workshop.store, {
    unsafeMs: 5_000,
    finish: async (request) => {
      if (asked++ === 0) return { kind: "behind", lastSeq: request.lastSeq - 1 };
      return workshop.store.finish(request);
    },
  });
  const { job, errors } = await attempt("echo hello", store);
  expect([errors, asked, job?.status]).toEqual([[], 2, "succeeded"]);
});

test("an end that the store forgot, with more of the log than is remembered, hands the job back", async () => {
  let asked = 0;
  const forgetful = overridden(workshop.store, {
    unsafeMs: 5_000,
    // Acknowledged and forgotten; then not even the marker is there that the attempt's log begins with.
    finish: () =>
      Promise.resolve(asked++ === 0 ? { kind: "finished" } : { kind: "behind", lastSeq: -1 }),
  });
  const ends: StoredEnd[] = [];
  const { job, errors } = await attempt("echo hello", forgetful, { ends });
  expect([errors, job?.status, ends.length]).toEqual([[], "running", 1]);
  await ends[0]?.finishAgain();
  const again = await workshop.store.get(job?.id ?? "");
  expect(again).toMatchObject({ status: "queued", crashes: 0 });
  await workshop.store.requestCancel(job?.id ?? "");
});

/** The events of an attempt's log, the levels of those that are no debug. */
function eventsOf(lines: readonly LoggedLine[]): readonly string[] {
  return lines.map(({ level, event }) => (level === "debug" ? event : `${level} ${event}`));
}

test("a fence that comes with the answer to the end does not keep that end from being stored again", async () => {
  const fences: (() => void)[] = [];
  const ends: StoredEnd[] = [];
  let finished = 0;
  const released: LeaseKey[] = [];
  const store = overridden(workshop.store, {
    async finish(request) {
      finished += 1;
      const answer = await workshop.store.finish(request);
      for (const fence of fences) fence();
      return answer;
    },
    release: (lease) => Promise.resolve(void released.push(lease)),
  });
  const { job } = await attempt("echo one", store, { ends, fences });
  expect(job?.status).toBe("succeeded");
  expect(fences.length).toBe(1);
  for (const end of ends) await end.finishAgain();
  expect({ finished, released }).toEqual({ finished: 2, released: [] });
});

test("an attempt says what becomes of it, with its job, epoch, attempt and times", async () => {
  const { job, lines } = await attempt("exit 3", workshop.store);
  expect(eventsOf(lines)).toEqual(["job_claimed", "job_started", "job_ended"]);
  for (const line of lines)
    expect(line).toMatchObject({ job_id: job?.id, epoch: job?.epoch, attempt: 1 });
  expect(lines.at(-1)).toMatchObject({
    status: "failed",
    reason: "exit_code",
    duration_ms: expect.any(Number),
  });
});

test("a job that is handed back says so; one that is someone else's by then, as a warning", async () => {
  const broken = overridden(workshop.store, { finish: () => Promise.reject(new Error("a bug")) });
  const handedBack = await attempt("true", broken);
  expect(eventsOf(handedBack.lines)).toEqual(["job_claimed", "job_started", "job_handed_back"]);
  await workshop.store.requestCancel(handedBack.job?.id ?? "");
  const stolen = overridden(workshop.store, {
    finish: async (request) => {
      await workshop.store.releaseOwner("me");
      return workshop.store.finish(request);
    },
  });
  const { job, lines, errors } = await attempt("true", stolen);
  expect(eventsOf(lines)).toEqual(["job_claimed", "job_started", "warn job_fenced"]);
  expect([errors, job?.status]).toEqual([[], "queued"]);
  await workshop.store.requestCancel(job?.id ?? "");
});
