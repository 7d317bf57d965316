import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { AppError } from "../../src/errors.ts";
import type { Store } from "../../src/store/store.ts";
import {
  claimAny,
  EMPTY_LOG,
  expectPrompt,
  NEVER_MS,
  neverAborted,
  newJob,
  recordOf,
  SUCCEEDED,
  type StoreHarness,
} from "./store-harness.ts";

/** An own key of this name must survive, and must not become the object's prototype. */
const ODD_NAMES: Readonly<Record<string, string>> = JSON.parse(
  '{"__proto__":"p","constructor":"c","":"empty name","a.b:c/d=e":"\\u0000\\u2028","ключ-🔑":"значение-🗝","1":"one"}',
);

export function submitContract(harness: StoreHarness): void {
  let store: Store;
  beforeEach(async () => {
    store = await harness.open();
  });
  afterEach(async () => {
    await harness.cleanup();
  });

  describe("submit and get", () => {
    test("give back what was submitted, as queued", async () => {
      const job = newJob({ traceparent: `00-${"1".repeat(32)}-${"2".repeat(16)}-01` });
      const beforeMs = Date.now();
      const submitted = await store.submit(job);
      expect(submitted).toEqual({
        ...job,
        status: "queued",
        createdAtMs: submitted.createdAtMs,
        startedAtMs: null,
        finishedAtMs: null,
        epoch: 0,
        epochs: [],
        crashes: 0,
        retryReason: null,
        owner: null,
        cancelRequested: false,
        log: EMPTY_LOG,
        outcome: null,
      });
      // The store's clock, but on the same machine here: milliseconds, not seconds.
      expect(Math.abs(submitted.createdAtMs - beforeMs)).toBeLessThan(60_000);
      expect(await recordOf(store, job.id)).toEqual(submitted);
    });

    test("keep unicode, odd names, empty lists and exact numbers", async () => {
      const job = newJob({
        spec: {
          entry: "pkg/naïve 😀.py",
          args: ["", "a b", "\u0000", "\u2028", '"quoted"', "日本語"],
          env: ODD_NAMES,
          labels: ODD_NAMES,
          stdin: "line\r\n\u0000\ufeff",
          timeoutMs: 1234.5678,
        },
        files: [
          {
            path: "pkg/naïve 😀.py",
            role: "code",
            blob: "0",
            sizeBytes: Number.MAX_SAFE_INTEGER,
            sha256: "ab".repeat(32),
          },
        ],
        warnings: ["runs on 3.11 – nearest"],
      });
      await store.submit(job);
      const record = await recordOf(store, job.id);
      expect(record.spec.entry).toBe(job.spec.entry);
      expect(record.spec.args).toEqual(job.spec.args);
      expect(Object.entries(record.spec.env).sort()).toEqual(Object.entries(ODD_NAMES).sort());
      expect(Object.entries(record.spec.labels).sort()).toEqual(Object.entries(ODD_NAMES).sort());
      expect(record.spec.stdin).toBe(job.spec.stdin);
      expect(record.spec.timeoutMs).toBe(job.spec.timeoutMs);
      expect(record.files).toEqual(job.files);
      expect(record.warnings).toEqual(job.warnings);
    });

    test("keep empty arguments, files and warnings as lists, also after a claim", async () => {
      const { id } = await store.submit(newJob());
      const claimed = await claimAny(store);
      for (const record of [claimed, await recordOf(store, id)]) {
        expect(record?.spec.args).toEqual([]);
        expect(record?.files).toEqual([]);
        expect(record?.warnings).toEqual([]);
      }
    });

    test("take a big spec", async () => {
      const job = newJob({
        spec: {
          stdin: "x".repeat(1024 * 1024),
          args: Array.from({ length: 1_000 }, (_, index) => `arg ${index}`),
        },
      });
      await store.submit(job);
      expect((await recordOf(store, job.id)).spec).toEqual(job.spec);
    });

    test("a second submit of an id changes nothing", async () => {
      const job = newJob();
      const first = await store.submit(job);
      const again = await store.submit(newJob({ id: job.id }));
      expect(again).toEqual(first);
      expect((await claimAny(store))?.id).toBe(job.id);
      expect((await store.submit(job)).status).toBe("running");
      expect(await claimAny(store)).toBeNull();
    });

    test("a second submit of an ended job changes nothing", async () => {
      const job = newJob();
      await store.submit(job);
      const claimed = await claimAny(store, "w");
      await store.finish({
        id: job.id,
        epoch: claimed?.epoch ?? -1,
        owner: "w",
        outcome: SUCCEEDED,
        lastSeq: 0,
        log: EMPTY_LOG,
      });
      expect((await store.submit(job)).status).toBe("succeeded");
      expect(await claimAny(store)).toBeNull();
    });

    test("an unknown id has no record", async () => {
      expect(await store.get("no-such-job")).toBeNull();
      expect(await store.queuePosition("no-such-job")).toBeNull();
      expect(await store.lastEntryId("no-such-job")).toBeNull();
      expect(await store.requestCancel("no-such-job")).toBe("unknown");
      expect(await store.remove("no-such-job")).toBe(false);
    });
  });

  describe("waitForWork", () => {
    test("wakes on submit", async () => {
      const wait = store.waitForWork(NEVER_MS, neverAborted());
      await store.submit(newJob());
      await expectPrompt(wait);
    });

    test("wakes on release", async () => {
      await store.submit(newJob());
      const job = await claimAny(store, "w");
      // A bell left over from the submit may wake this one; the next one can only hear the release.
      await store.waitForWork(1, neverAborted());
      const wait = store.waitForWork(NEVER_MS, neverAborted());
      await store.release({
        id: job?.id ?? "",
        epoch: job?.epoch ?? -1,
        owner: "w",
      });
      await expectPrompt(wait);
    });

    test("resolves at once when there is work already", async () => {
      await store.submit(newJob());
      await expectPrompt(store.waitForWork(NEVER_MS, neverAborted()));
    });

    test("ends by its timeout and by its signal", async () => {
      await expectPrompt(store.waitForWork(20, neverAborted()));
      const controller = new AbortController();
      const wait = store.waitForWork(NEVER_MS, controller.signal);
      controller.abort();
      await expectPrompt(wait);
      await expectPrompt(store.waitForWork(NEVER_MS, controller.signal));
    });
  });

  describe("ping and close", () => {
    test("ping resolves, and rejects once closed", async () => {
      await store.ping();
      await store.close();
      await expectUnavailable(store.ping());
    });

    test("close ends waits, is idempotent, and later calls reject", async () => {
      const { id } = await store.submit(newJob());
      await claimAny(store);
      const waits: readonly Promise<unknown>[] = [
        store.waitForWork(NEVER_MS, neverAborted()),
        store.waitForEntries({ id: "none", after: null, timeoutMs: NEVER_MS }, neverAborted()),
      ];
      await store.close();
      for (const wait of waits) await expectPrompt(wait);
      await store.close();
      await expectUnavailable(store.get(id));
      await expectUnavailable(store.submit(newJob()));
      await expectUnavailable(claimAny(store));
      await expectUnavailable(store.sweep());
      // Waits never reject; a caller's loop meets the error at its next call.
      await expectPrompt(store.waitForWork(NEVER_MS, neverAborted()));
    });
  });
}

async function expectUnavailable(call: Promise<unknown>): Promise<void> {
  const error: unknown = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AppError);
  expect(error).toMatchObject({ code: "store_unavailable" });
}
