import { expect } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import type { JobRecord, NewJob, Priority } from "../../src/jobs/job.ts";
import type { Frame, LogEntry, StreamName } from "../../src/jobs/log-entry.ts";
import { MIB } from "../../src/jobs/limits.ts";
import type { Outcome } from "../../src/jobs/outcome.ts";
import type { LeaseKey, Store } from "../../src/store/store.ts";
import type { StoreTiming } from "../../src/store/timing.ts";

/** What the store contract needs of a driver. */
export interface StoreHarness {
  /** The timing that every store of this harness is opened with; short, so that leases can run out in a test. */
  readonly timing: StoreTiming;
  /** true where leases run out by the clock; false where one process owns the data and its end is the end of its claims. */
  readonly leasesExpire: boolean;
  /** A fresh, empty store. */
  open(): Promise<Store>;
  /** Another connection to the same data, where several processes may share it. */
  readonly second?: (store: Store) => Promise<Store>;
  /** What a restarted process gets; `store` is closed by it. */
  reopen(store: Store): Promise<Store>;
  /** Makes a queued job one that was submitted so much earlier. */
  age(store: Store, id: string, byMs: number): Promise<void>;
  /** Makes the windows in which the use of an API key is counted be over. */
  endWindows(store: Store, keyId: string): Promise<void>;
  /** Makes the store forget every log entry of `id` after `lastSeq` of its current epoch, where a driver may lose a tail. */
  readonly loseTail?: (store: Store, id: string, lastSeq: number) => Promise<void>;
  /** Closes every store that was opened since the last cleanup and removes their data. Runs after each test. */
  cleanup(): Promise<void>;
}

/** Far above what any wake-up takes, far below the timeouts that the waits under test are given. */
const PROMPT_MS = 1_500;
/** A wait that ends by this timeout has missed its wake-up. */
export const NEVER_MS = 20_000;

let lastJobNumber = 0;

/** A job no other test has submitted. */
export function newJob(
  overrides: { readonly id?: string; readonly priority?: Priority } & Partial<
    Pick<NewJob, "keyId" | "runtime" | "files" | "warnings" | "traceparent">
  > & { readonly spec?: Partial<NewJob["spec"]> } = {},
): NewJob {
  lastJobNumber += 1;
  return {
    id: overrides.id ?? `job-${String(process.pid)}-${lastJobNumber.toString()}`,
    keyId: overrides.keyId ?? null,
    spec: {
      entry: "main.py",
      args: [],
      timeoutMs: 60_000,
      runtime: "python3",
      netPolicy: "none",
      env: {},
      stdin: "",
      install: false,
      limits: {
        memoryBytes: 256 * MIB,
        cpuSec: 60,
        processes: 64,
        diskBytes: 64 * MIB,
        outputBytes: 10 * MIB,
      },
      priority: overrides.priority ?? "normal",
      labels: {},
      ...overrides.spec,
    },
    files: overrides.files ?? [],
    runtime: overrides.runtime ?? { name: "python3.11", version: "3.11.2" },
    warnings: overrides.warnings ?? [],
    ...(overrides.traceparent !== undefined && { traceparent: overrides.traceparent }),
  };
}

let lastToken = 0;

/** Claims the next job with a token of its own. */
export async function claimAny(store: Store, owner = "worker-1"): Promise<JobRecord | null> {
  lastToken += 1;
  return await store.claim({
    owner,
    slot: 0,
    token: `token-${lastToken.toString()}`,
  });
}

/** Claims, and fails the test unless the job is `id`. */
export async function claimJob(store: Store, id: string, owner = "worker-1"): Promise<LeaseKey> {
  const job = await claimAny(store, owner);
  expect(job?.id).toBe(id);
  return { id, epoch: job?.epoch ?? -1, owner };
}

/** Submits a job and claims it; the store must hold no other queued one. */
export async function runningJob(store: Store, owner = "worker-1"): Promise<LeaseKey> {
  const { id } = await store.submit(newJob());
  return await claimJob(store, id, owner);
}

const utf8 = new TextEncoder();

export function frame(bytes: string | Uint8Array, stream: StreamName = "stdout"): Frame {
  return {
    stream,
    bytes: typeof bytes === "string" ? utf8.encode(bytes) : bytes,
  };
}

/** Appends one stdout frame and fails the test unless it is stored. `totalBytes` becomes the record's. */
export async function appendText(
  store: Store,
  lease: LeaseKey,
  entry: {
    readonly seq: number;
    readonly text: string;
    readonly totalBytes?: number;
  },
): Promise<void> {
  const answer = await store.append({
    ...lease,
    seq: entry.seq,
    body: { kind: "frames", frames: [frame(entry.text)] },
    log: {
      bytes: entry.totalBytes ?? utf8.encode(entry.text).length,
      droppedBytes: 0,
    },
  });
  expect(answer).toEqual({ kind: "stored" });
}

export const SUCCEEDED: Outcome = {
  status: "succeeded",
  reason: null,
  exitCode: 0,
  signal: null,
  oom: false,
  usage: { wallMs: 12, cpuMs: 7, peakMemoryBytes: null },
  artifacts: [],
  warnings: [],
  error: null,
};

export const FAILED: Outcome = {
  ...SUCCEEDED,
  status: "failed",
  reason: "signal",
  exitCode: null,
  signal: "SIGSEGV",
};

export const EMPTY_LOG = { bytes: 0, droppedBytes: 0 };

/** The whole log, read in pages. */
export async function wholeLog(
  store: Store,
  id: string,
  maxBytes = 64 * 1024,
): Promise<readonly LogEntry[]> {
  const entries: LogEntry[] = [];
  let from = { epoch: 0, seq: 0 };
  for (;;) {
    const page = await store.readLog({ id, from, maxBytes });
    const last = page.at(-1);
    if (last === undefined) return entries;
    entries.push(...page);
    from = { epoch: last.epoch, seq: last.seq + 1 };
  }
}

/** The record of a job that must be there. */
export async function recordOf(store: Store, id: string): Promise<JobRecord> {
  const record = await store.get(id);
  if (record === null) throw new Error(`The store has no job ${id}`);
  return record;
}

/** Resolves to what `read` gives once `accept` takes it. For what only the passing of time brings about. */
export async function eventually<T>(
  read: () => Promise<T>,
  accept: (value: T) => boolean,
): Promise<T> {
  const deadlineMs = performance.now() + 10_000;
  for (;;) {
    const value = await read();
    if (accept(value)) return value;
    if (performance.now() > deadlineMs)
      throw new Error(`Not within 10 s; last seen ${JSON.stringify(value)}`);
    await delay(10);
  }
}

/** Fails the test unless `wait` ends promptly. */
export async function expectPrompt<T>(wait: Promise<T>): Promise<T> {
  const startMs = performance.now();
  const value = await wait;
  expect(performance.now() - startMs).toBeLessThan(PROMPT_MS);
  return value;
}

/** A signal for waits that no test aborts. */
export function neverAborted(): AbortSignal {
  return new AbortController().signal;
}
