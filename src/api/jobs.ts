import { randomUUID } from "node:crypto";

import { type Static, Type } from "@sinclair/typebox";
import { Elysia } from "elysia";

import { AppError, messageOf } from "../errors.ts";
import { isJobId, type JobFilter, type JobRecord, type NewJob } from "../jobs/job.ts";
import { diskBytesOf } from "../jobs/limits.ts";
import { resolveSpec } from "../jobs/spec.ts";
import { isTerminal, JOB_STATUSES } from "../jobs/states.ts";
import type { SubmitKey } from "../store/store.ts";
import { digestOf, idempotencyKeyOf, keyReused, REPLAYED_HEADER } from "./idempotency.ts";
import { jobView, listedJobView } from "./job-view.ts";
import type { ApiPorts, RoutePorts } from "./ports.ts";
import { receiveUpload } from "./upload.ts";

const DEFAULT_PAGE = 50;

export const ListQuery = Type.Object(
  {
    status: Type.Optional(Type.Union(JOB_STATUSES.map((status) => Type.Literal(status)))),
    runtime: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    label: Type.Optional(Type.String({ pattern: "^[^:]+:", description: "a label as name:value" })),
    // Text, as everything in a query is.
    limit: Type.Optional(
      Type.String({
        pattern: "^([1-9]|[1-9][0-9]|1[0-9][0-9]|200)$",
        description: "a number from 1 to 200",
      }),
    ),
    cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
  },
  { additionalProperties: false },
);

/** Submit, look at, list and cancel jobs. */
export function jobRoutes(ports: RoutePorts) {
  return new Elysia({ name: "jobs" })
    .post("/jobs", ({ request }) => submit(ports, request), { parse: "none" })
    .get("/jobs", ({ query }) => listJobs(ports, query), { query: ListQuery })
    .get("/jobs/:id", async ({ params }) => {
      const job = await findJob(ports, params.id);
      return Response.json(await describeJob(ports, job));
    })
    .post("/jobs/:id/cancel", ({ params, request }) => cancel(ports, params.id, request), {
      parse: "none",
    });
}

/** The record of a job. Throws AppError `not_found`, also once the job has expired. */
export async function findJob(ports: ApiPorts, id: string): Promise<JobRecord> {
  // What is not shaped like our ids never becomes a part of a store's keys.
  const job = isJobId(id) ? await ports.store.get(id) : null;
  if (job === null)
    throw new AppError("not_found", `There is no job ${JSON.stringify(id)} (or no longer).`);
  return job;
}

async function describeJob({ store }: ApiPorts, job: JobRecord) {
  if (job.status !== "queued") return jobView(job, null);
  // What has been stored or cancelled must not look refused because of a number that can be asked for again.
  const position = await store.queuePosition(job.id).catch(() => null);
  return jobView(job, position);
}

async function submit(ports: RoutePorts, request: Request): Promise<Response> {
  if (ports.draining.aborted)
    throw new AppError("draining", "The server is shutting down and takes no new jobs.");
  const sandbox = ports.sandbox();
  if (sandbox !== null && !sandbox.ready)
    throw new AppError("sandbox_unavailable", sandbox.problems.join(" "), { retryAfterSec: 30 });
  const key = idempotencyKeyOf(request);
  const id = randomUUID();
  const upload = await ports.files.beginUpload(id);
  let job: JobRecord;
  let mayBeStored = false;
  try {
    const received = await receiveUpload(request, upload, ports.upload);
    const sent = { spec: parseSpec(received.spec), files: received.files };
    const once = key === null ? null : { key, digest: digestOf(sent) };
    // Before the job is checked: what is asked of new jobs by now may be more than was asked of the first.
    const first = once === null ? null : unlessMismatch(await ports.store.findSubmitted(once));
    if (first === null) {
      const checked = await checkJob(ports, sent);
      await upload.commit();
      mayBeStored = true;
      job = await storeJob(ports, { id, ...checked }, once);
    } else job = first;
  } catch (error) {
    // Without an answer the job may be stored: then its files must stay, until somebody finds out that it is not.
    const isUnknown = error instanceof AppError && error.code === "store_unavailable";
    if (!(mayBeStored && isUnknown)) await upload.discard();
    throw error;
  }
  const isReplay = job.id !== id;
  const log = ports.logOf(request).child({ job_id: job.id });
  if (!isReplay) log.debug("job_submitted", "A job was submitted.");
  // The answer stands, whatever becomes of the files that are not needed, or of the marker of those that are.
  const settled = isReplay ? upload.discard() : upload.confirm();
  await settled.catch((error: unknown) => {
    log.error("step_failed", `The files of the upload stayed: ${messageOf(error)}`, { error });
  });
  return Response.json(await describeJob(ports, job), {
    status: 202,
    headers: {
      Location: `/jobs/${job.id}`,
      ...(isReplay && { [REPLAYED_HEADER]: "true" }),
    },
  });
}

/** The job's record; with a key that was sent before, that of the first job. */
async function storeJob(ports: ApiPorts, job: NewJob, once: SubmitKey | null): Promise<JobRecord> {
  if (once === null) return await ports.store.submit(job);
  return unlessMismatch(await ports.store.submitOnce({ job, ...once }));
}

function unlessMismatch<T>(answer: T | "mismatch"): T {
  if (answer === "mismatch") throw keyReused();
  return answer;
}

/** The job that is asked for, with its defaults and its runtime. Throws what is wrong with it, by this server's rules. */
async function checkJob(
  ports: ApiPorts,
  { spec: sent, files }: { readonly spec: unknown; readonly files: NewJob["files"] },
): Promise<Omit<NewJob, "id">> {
  const spec = resolveSpec(sent, ports.specs);
  if (!files.some((file) => file.path === spec.entry)) {
    const names = files.map((file) => JSON.stringify(file.path)).slice(0, 20);
    const detail = `The entry ${JSON.stringify(spec.entry)} is not among the uploaded files (${names.join(", ") || "there are none"}).`;
    throw new AppError("invalid_spec", `/spec/entry: ${detail}`, {
      fields: [{ pointer: "/spec/entry", detail }],
    });
  }
  const neededBytes = diskBytesOf(files.map(({ sizeBytes }) => sizeBytes));
  if (neededBytes > spec.limits.diskBytes) {
    const detail = `The uploaded files take ${neededBytes} bytes of disk, where each fills its last 4 KiB, and the job's disk has only ${spec.limits.diskBytes}: raise limits.disk_mb.`;
    throw new AppError("invalid_spec", `/spec/limits/disk_mb: ${detail}`, {
      fields: [{ pointer: "/spec/limits/disk_mb", detail }],
    });
  }
  const registry = await ports.runtimes();
  if (registry.list().length === 0)
    throw new AppError(
      "sandbox_unavailable",
      "No worker has announced a runtime to run jobs with.",
    );
  const { runtime, warnings } = registry.resolve(spec.runtime, spec.entry);
  return {
    spec: { ...spec, runtime: spec.runtime ?? runtime.name },
    files,
    runtime: { name: runtime.name, version: runtime.version },
    warnings,
  };
}

function parseSpec(text: string | undefined): unknown {
  const refuse = (detail: string) =>
    new AppError("invalid_spec", `/spec: ${detail}`, { fields: [{ pointer: "/spec", detail }] });
  if (text === undefined)
    throw refuse('The field is missing. It is JSON, for example {"entry":"main.py"}.');
  try {
    // Some editors begin a file with a byte order mark, which JSON parsers may skip (RFC 8259, section 8.1).
    return JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw refuse(`The field is not JSON: ${messageOf(error)}.`);
  }
}

async function listJobs({ store }: ApiPorts, query: Static<typeof ListQuery>): Promise<Response> {
  const { items, nextCursor } = await store.list({
    filter: filterOf(query),
    limit: Number(query.limit ?? DEFAULT_PAGE),
    ...(query.cursor === undefined ? {} : { cursor: query.cursor }),
  });
  return Response.json({
    items: items.map(listedJobView),
    next_cursor: nextCursor ?? null,
  });
}

function filterOf({ status, runtime, label }: Static<typeof ListQuery>): JobFilter {
  const colon = label?.indexOf(":") ?? -1;
  return {
    ...(status !== undefined && { status }),
    ...(runtime !== undefined && { runtime }),
    ...(label !== undefined && {
      label: { name: label.slice(0, colon), value: label.slice(colon + 1) },
    }),
  };
}

async function cancel(ports: RoutePorts, id: string, request: Request): Promise<Response> {
  await findJob(ports, id);
  const answer = await ports.store.requestCancel(id);
  const job = await findJob(ports, id);
  const fields = { job_id: id, status: job.status };
  ports
    .logOf(request)
    .debug("job_cancel_asked", `The end of a job was asked for: ${answer}.`, fields);
  const status = answer === "ended" && isTerminal(job.status) ? 200 : 202;
  return Response.json(await describeJob(ports, job), { status });
}
