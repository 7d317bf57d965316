import type { AddressRange } from "../egress/addresses.ts";
import type { JobRecord } from "../jobs/job.ts";
import { repeat, type Service } from "../lifecycle.ts";
import type { Logger } from "../logger.ts";
import type { DueCallback } from "../store/outbox.ts";
import type { Store } from "../store/store.ts";
import { Lanes } from "./lanes.ts";
import { post, type PostResult } from "./post.ts";
import { secretOfKey, signatureHeaders } from "./signature.ts";

/*
 * Tells clients that their jobs have ended. What is to be told stands in the store's outbox, where the step that ended the
 * job has put it; a try takes it out of everybody's sight for a while, so that one whose process dies is made again.
 * A receiver may hear of a job more than once, and knows it by `webhook-id`.
 */

/** So often the outbox is looked into. */
const LOOK_INTERVAL_MS = 250;
/** So many are taken at a time, and so often one after the other where many are due: those that find no place go back. */
const BATCH = 100;
const BATCHES_PER_LOOK = 10;
/** What finds no place waits for so long; where its receiver is silent, for as long as that may take. */
const NO_PLACE_MS = LOOK_INTERVAL_MS;
const SILENT_MS = 30_000;
/** A receiver that takes longer is to answer first and work after that. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Longer than a try takes, the store's answers included. */
const VISIBILITY_MS = 20_000;
/** From each try that failed to the next, so that a receiver may be away for most of a day. After that nobody is told. */
const RETRY_DELAYS_SEC = [5, 30, 120, 600, 1800, 7200, 21_600, 43_200];
/** By so much each of them is longer or shorter, so that what failed together does not come back together. */
const JITTER = 0.2;
const GONE = 410;

/** A job's end on its way. */
interface Told {
  readonly job: JobRecord;
  readonly url: URL;
  readonly due: DueCallback;
  readonly leave: (isAnswered: boolean) => void;
}

/** What became of a try. */
type CallbackResult = "delivered" | "postponed" | "given_up";

export interface CallbacksOptions {
  readonly secret: Uint8Array;
  readonly extraAddresses: readonly AddressRange[];
  /** The body, as an object for JSON: the job as the API shows it. */
  readonly view: (job: JobRecord) => unknown;
  readonly onResult: (result: CallbackResult) => void;
  readonly onError: (error: unknown) => void;
  readonly log: Logger;
  /** In place of RETRY_DELAYS_SEC, for tests. */
  readonly retryDelaysSec?: readonly number[];
}

/** Sends what is due, as long as it runs. Any number of processes may. */
export function createCallbacks(
  store: Pick<Store, "get" | "takeCallbacks" | "settleCallback">,
  options: CallbacksOptions,
): Service {
  const stopping = new AbortController();
  const { signal } = stopping;
  const lanes = new Lanes();
  const underWay = new Set<Promise<void>>();
  let loop: Promise<void> = Promise.resolve();

  const look = async () => {
    for (let batch = 0; batch < BATCHES_PER_LOOK && !signal.aborted; batch += 1) {
      const taken = await store.takeCallbacks({ limit: BATCH, visibilityMs: VISIBILITY_MS });
      await Promise.all(taken.map(begin));
      if (taken.length < BATCH) return;
    }
  };

  /** Resolves once it is under way, or back in the outbox. */
  const begin = async (due: DueCallback) => {
    const job = await store.get(due.id);
    if (job === null) return;
    const { keyId, spec } = job;
    if (spec.callbackUrl === undefined) return;
    const url = new URL(spec.callbackUrl);
    const lane = { origin: url.origin, keyId };
    const leave = lanes.tryEnter(lane);
    if (leave === null) {
      const retryInMs = lanes.isSilent(lane) ? SILENT_MS : NO_PLACE_MS;
      await store.settleCallback({ ...due, retryInMs, isUntried: true });
      return;
    }
    const run: Promise<void> = tell({ job, url, due, leave })
      .catch(options.onError)
      .finally(() => underWay.delete(run));
    underWay.add(run);
  };

  const tell = async ({ job, url, due, leave }: Told) => {
    const answer = await sendTo(url, job, { ...options, signal });
    leave(answer.kind === "answered");
    if (signal.aborted && answer.kind === "unanswered") {
      await store.settleCallback({ ...due, retryInMs: 0, isUntried: true });
      return;
    }
    const { result, retryInMs } = judge(answer, due.attempt, options.retryDelaysSec);
    options.onResult(result);
    report(options.log, { result, answer, host: url.host, due });
    await store.settleCallback({ ...due, retryInMs });
  };

  return {
    name: "callbacks",
    async start() {
      loop = repeat(look, { intervalMs: LOOK_INTERVAL_MS, signal, onError: options.onError });
    },
    async stop() {
      stopping.abort();
      await loop;
      await Promise.all(underWay);
    },
  };
}

async function sendTo(
  url: URL,
  job: JobRecord,
  options: CallbacksOptions & { readonly signal: AbortSignal },
): Promise<PostResult> {
  const { extraAddresses, signal } = options;
  const secret = job.keyId === null ? options.secret : secretOfKey(options.secret, job.keyId);
  const body = JSON.stringify(options.view(job));
  const signed = signatureHeaders(secret, { id: job.id, sentAtMs: Date.now(), body });
  const headers = { "content-type": "application/json", "user-agent": "job-runner", ...signed };
  return await post(url, { headers, body, extraAddresses, timeoutMs: ANSWER_TIMEOUT_MS, signal });
}

/** `attempt` is 1 for the first. */
function judge(
  answer: PostResult,
  attempt: number,
  delaysSec: readonly number[] = RETRY_DELAYS_SEC,
): { readonly result: CallbackResult; readonly retryInMs: number | null } {
  const status = answer.kind === "answered" ? answer.status : 0;
  if (status >= 200 && status < 300) return { result: "delivered", retryInMs: null };
  const delaySec = delaysSec[attempt - 1];
  // 410: the receiver wants no more of them, as the specification has it.
  if (status === GONE || delaySec === undefined) return { result: "given_up", retryInMs: null };
  const factor = 1 + JITTER * (2 * Math.random() - 1);
  return { result: "postponed", retryInMs: Math.round(1000 * delaySec * factor) };
}

/** Of the URL no more than its host: the rest may hold a secret of the client's. */
function report(
  log: Logger,
  told: {
    readonly result: CallbackResult;
    readonly answer: PostResult;
    readonly host: string;
    readonly due: DueCallback;
  },
): void {
  const { result, answer, host, due } = told;
  const fields = { job_id: due.id, attempt: due.attempt };
  const said = answer.kind === "answered" ? `answered with ${answer.status}` : answer.problem;
  if (result === "delivered")
    log.debug("callback_sent", `${host} was told of a job's end.`, fields);
  else if (result === "postponed") {
    // Its operator may have to add an address, or a certificate: once for each job is enough.
    const level = due.attempt === 1 ? "info" : "debug";
    log[level]("callback_postponed", `${host} was not told of a job's end: ${said}`, fields);
  } else log.warn("callback_given_up", `${host} is not told of a job's end: ${said}`, fields);
}
