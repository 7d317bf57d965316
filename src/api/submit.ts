import { randomUUID } from "node:crypto";

import { AppError, messageOf } from "../errors.ts";
import type { Upload } from "../files/file-store.ts";
import type { InputFile, JobRecord, NewJob } from "../jobs/job.ts";
import { diskBytesOf } from "../jobs/limits.ts";
import { limitReached, reachedLimit, type SubmitLimits } from "../jobs/quotas.ts";
import { resolveSpec } from "../jobs/spec.ts";
import { isTerminal } from "../jobs/states.ts";
import { readTraceparent } from "../jobs/trace-context.ts";
import { type Caller, mayCall } from "../keys/caller.ts";
import { readHeads } from "../logs/heads.ts";
import { openSnapshot } from "../logs/snapshot.ts";
import type { SubmitKey } from "../store/store.ts";
import { describeJob, findJob } from "./find-job.ts";
import { digestOf, idempotencyKeyOf, keyReused, REPLAYED_HEADER } from "./idempotency.ts";
import { jobView, specView } from "./job-view.ts";
import { installProblem } from "./install-check.ts";
import { isJson, receiveJson } from "./json-upload.ts";
import type { ApiPorts, RoutePorts } from "./ports.ts";
import { receiveUpload } from "./upload.ts";
import { isPassing, preferredWaitSec, untilEnded } from "./wait.ts";

/*
 * How a job comes into being: from a body with its files, or again from another job.
 */

/** Of each stream, in an answer that was waited for. */
const MAX_HEAD_BYTES = 1024 * 1024;

/** A sandbox that is not ready is tested again this often (runner/execution.ts). */
const SANDBOX_RETRY_SEC = 30;

/** What was asked for, as it was sent. */
interface SentJob {
  readonly spec: unknown;
  readonly files: readonly InputFile[];
}

/** Reads what was sent; its files go into the upload, which is discarded when this throws. */
type Receive = (upload: Upload) => Promise<SentJob>;

/** POST /jobs */
export async function submit(ports: RoutePorts, request: Request): Promise<Response> {
  if (!isJson(request))
    return await submitReceived(ports, request, async (upload) => {
      const { spec, files } = await receiveUpload(request, upload, ports.upload);
      return { spec: parseSpec(spec), files };
    });
  try {
    return await submitReceived(ports, request, (upload) =>
      receiveJson(request, upload, ports.upload),
    );
  } catch (error) {
    throw error instanceof AppError ? withoutSpecLevel(error) : error;
  }
}

/** POST /jobs/{id}/rerun */
export async function rerun(ports: RoutePorts, id: string, request: Request): Promise<Response> {
  const first = await findJob(ports, id, request);
  if (request.headers.has("transfer-encoding") || Number(request.headers.get("content-length")) > 0)
    throw new AppError(
      "bad_request",
      "A rerun takes no body: it is the same spec and the same files. Submit a job to change something.",
    );
  return await submitReceived(ports, request, async (upload) => {
    const files: InputFile[] = [];
    for (const file of first.files) files.push(await upload.addAgain(id, file));
    return { spec: specView(first.spec), files };
  });
}

/** A JSON body has the spec's members at its top. */
function withoutSpecLevel(error: AppError): AppError {
  const fields = error.fields.map(({ pointer, detail }) => ({
    pointer: pointer.replace(/^\/spec(?=\/|$)/, ""),
    detail,
  }));
  const message = error.message.replace(/^\/spec(?=[/:])/, "");
  const { retryAfterSec } = error;
  return new AppError(error.code, message, {
    fields,
    cause: error,
    ...(retryAfterSec !== undefined && { retryAfterSec }),
  });
}

async function submitReceived(
  ports: RoutePorts,
  request: Request,
  receive: Receive,
): Promise<Response> {
  if (ports.draining.aborted)
    throw new AppError("draining", "The server is shutting down and takes no new jobs.");
  const sandbox = ports.sandbox();
  if (sandbox !== null && !sandbox.ready)
    throw new AppError("sandbox_unavailable", sandbox.problems.join(" "), {
      retryAfterSec: sandbox.isUntested === true ? 1 : SANDBOX_RETRY_SEC,
    });
  const caller = ports.callerOf(request);
  const key = idempotencyKeyOf(request, caller.keyId);
  await checkQuotas(ports, caller, key);
  const id = randomUUID();
  const upload = await ports.files.beginUpload(id);
  const traceparent = readTraceparent(request.headers.get("traceparent"));
  const { keyId } = caller;
  const origin = { id, keyId, ...(traceparent !== null && { traceparent }) };
  const limits = { ...caller.quotas, maxQueued: ports.maxQueued };
  const job = await storeOrDiscard(ports, { origin, limits, key, upload, receive });
  const isReplay = job.id !== id;
  const log = ports.logOf(request).child({ job_id: job.id });
  if (!isReplay) log.debug("job_submitted", "A job was submitted.");
  // The answer stands, whatever becomes of the files that are not needed, or of the marker of those that are.
  const settled = isReplay ? upload.discard() : upload.confirm();
  await settled.catch((error: unknown) => {
    log.error("step_failed", `The files of the upload stayed: ${messageOf(error)}`, { error });
  });
  return await answer(ports, request, { job, isReplay });
}

/**
 * Refuses a submit past a quota before its body is taken in, unless it may be one that is repeated, which uses nothing. Others
 * may come between: what counts is asked again in the step that stores the job.
 */
async function checkQuotas(
  { store }: ApiPorts,
  { keyId, quotas }: Caller,
  key: string | null,
): Promise<void> {
  if (keyId === null || Object.values(quotas).every((quota) => quota === null)) return;
  const limits = { ...quotas, maxQueued: null };
  const reached = reachedLimit(limits, { ...(await store.keyUse(keyId)), queued: 0 });
  if (reached === null) return;
  // No digest is empty: a key that is known is answered with a mismatch.
  const isKnown = key !== null && (await store.findSubmitted({ key, digest: "" })) !== null;
  if (!isKnown) throw limitReached(limits, reached);
}

/** Resolves to the job's record, which is that of an earlier one where its key was sent before. */
async function storeOrDiscard(
  ports: ApiPorts,
  submission: {
    readonly origin: Pick<NewJob, "id" | "keyId" | "traceparent">;
    readonly limits: SubmitLimits;
    readonly key: string | null;
    readonly upload: Upload;
    readonly receive: Receive;
  },
): Promise<JobRecord> {
  const { origin, limits, key, upload, receive } = submission;
  let mayBeStored = false;
  try {
    const sent = await receive(upload);
    const once = key === null ? null : { key, digest: digestOf(sent) };
    // Before the job is checked: what is asked of new jobs by now may be more than was asked of the first.
    const first = once === null ? null : unlessMismatch(await ports.store.findSubmitted(once));
    if (first !== null) return first;
    const checked = await checkJob(ports, sent);
    await upload.commit();
    mayBeStored = true;
    return await storeJob(ports, { ...origin, ...checked }, { once, limits });
  } catch (error) {
    // Without an answer the job may be stored: then its files must stay, until somebody finds out that it is not.
    if (!(mayBeStored && isPassing(error))) await upload.discard();
    throw error;
  }
}

/** The job's record; with a key that was sent before, that of the first job. */
async function storeJob(
  { store }: ApiPorts,
  job: NewJob,
  { once, limits }: { readonly once: SubmitKey | null; readonly limits: SubmitLimits },
): Promise<JobRecord> {
  if (once === null) return await store.submit(job, limits);
  return unlessMismatch(await store.submitOnce({ job, ...once, limits }));
}

function unlessMismatch<T>(found: T | "mismatch"): T {
  if (found === "mismatch") throw keyReused();
  return found;
}

/** The job that is asked for, with its defaults and its runtime. Throws what is wrong with it, by this server's rules. */
async function checkJob(
  ports: ApiPorts,
  { spec: sent, files }: SentJob,
): Promise<Omit<NewJob, "id" | "keyId">> {
  const spec = resolveSpec(sent, ports.specs);
  if (!files.some((file) => file.path === spec.entry)) {
    const names = files.map((file) => JSON.stringify(file.path)).slice(0, 20);
    throw invalid(
      "/spec/entry",
      `The entry ${JSON.stringify(spec.entry)} is not among the uploaded files (${names.join(", ") || "there are none"}).`,
    );
  }
  const neededBytes = diskBytesOf(files.map(({ sizeBytes }) => sizeBytes));
  if (neededBytes > spec.limits.diskBytes)
    throw invalid(
      "/spec/limits/disk_mb",
      `The uploaded files take ${neededBytes} bytes of disk, where each fills its last 4 KiB, and the job's disk has only ${spec.limits.diskBytes}: raise limits.disk_mb.`,
    );
  if (neededBytes > spec.limits.memoryBytes)
    throw invalid(
      "/spec/limits/memory_mb",
      `The uploaded files take ${neededBytes} bytes, and the job's memory, in which its disk is, has only ${spec.limits.memoryBytes}: raise limits.memory_mb.`,
    );
  const registry = await ports.runtimes();
  if (registry.list().length === 0)
    throw new AppError(
      "sandbox_unavailable",
      "No worker has announced a runtime to run jobs with.",
    );
  const { runtime, warnings } = registry.resolve(spec.runtime, spec.entry);
  const problem = spec.install ? installProblem(runtime, files, registry.list()) : null;
  if (problem !== null) throw invalid("/spec/install", problem);
  return {
    spec: { ...spec, runtime: spec.runtime ?? runtime.name },
    files,
    runtime: { name: runtime.name, version: runtime.version },
    warnings,
  };
}

function invalid(pointer: string, detail: string): AppError {
  return new AppError("invalid_spec", `${pointer}: ${detail}`, { fields: [{ pointer, detail }] });
}

function parseSpec(text: string | undefined): unknown {
  if (text === undefined)
    throw invalid("/spec", 'The field is missing. It is JSON, for example {"entry":"main.py"}.');
  try {
    // Some editors begin a file with a byte order mark, which JSON parsers may skip (RFC 8259, section 8.1).
    return JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw invalid("/spec", `The field is not JSON: ${messageOf(error)}.`);
  }
}

/** 202 with the job; or, where the client prefers to wait and the job ends in time, 200 with the job and its output. */
async function answer(
  ports: RoutePorts,
  request: Request,
  { job, isReplay }: { readonly job: JobRecord; readonly isReplay: boolean },
): Promise<Response> {
  const headers = {
    Location: `/jobs/${job.id}`,
    ...(isReplay && { [REPLAYED_HEADER]: "true" }),
  };
  // What it printed is read. A preference may be left unheeded (RFC 7240, section 2).
  const waitSec = mayCall(ports.callerOf(request), "read") ? preferredWaitSec(request) : null;
  if (waitSec !== null) {
    const ended = await endedView(ports, request, { job, waitSec });
    if (ended !== null)
      return Response.json(ended, {
        headers: { ...headers, "Preference-Applied": `wait=${waitSec}` },
      });
  }
  return Response.json(await describeJob(ports, job), { status: 202, headers });
}

/** null where the job has not ended in time, or that cannot be told: it is stored all the same. */
async function endedView(
  ports: RoutePorts,
  request: Request,
  { job, waitSec }: { readonly job: JobRecord; readonly waitSec: number },
) {
  const { store } = ports;
  const signal = AbortSignal.any([request.signal, ports.streams.closing]);
  const leave = ports.streams.tryEnterRequest(ports.callerOf(request).keyId);
  if (leave === null) return null;
  try {
    const ended = await untilEnded(store, job, { timeoutMs: waitSec * 1000, signal });
    if (!isTerminal(ended.status)) return null;
    const { stdout, stderr, compiler, installer } = await readHeads(
      await openSnapshot(store, ended, "latest"),
      MAX_HEAD_BYTES,
    );
    return {
      ...jobView(ended, null),
      stdout: stdout.text,
      stderr: stderr.text,
      compiler: compiler.text,
      installer: installer.text,
      stdout_truncated: stdout.isTruncated,
      stderr_truncated: stderr.isTruncated,
      compiler_truncated: compiler.isTruncated,
      installer_truncated: installer.isTruncated,
    };
  } catch (error) {
    if (isPassing(error)) return null;
    throw error;
  } finally {
    leave();
  }
}
