import type { Static } from "@sinclair/typebox";
import { Elysia } from "elysia";

import { AppError } from "../errors.ts";
import type { JobFilter } from "../jobs/job.ts";
import { isTerminal } from "../jobs/states.ts";
import { describeJob, findJob } from "./find-job.ts";
import { listedJobView } from "./job-view.ts";
import type { RoutePorts } from "./ports.ts";
import { JobQuery, ListQuery, NoQuery } from "./request-schemas.ts";
import { rerun, submit } from "./submit.ts";
import { untilEnded } from "./wait.ts";

const DEFAULT_PAGE = 50;

/** Submit, look at, list, cancel, repeat and remove jobs. */
export function jobRoutes(ports: RoutePorts) {
  return new Elysia({ name: "jobs" })
    .post("/jobs", ({ request }) => submit(ports, request), {
      parse: "none",
      query: NoQuery,
    })
    .get("/jobs", ({ query, request }) => listJobs(ports, { query, request }), {
      query: ListQuery,
    })
    .get(
      "/jobs/:id",
      ({ params, query, request }) => getJob(ports, params.id, { query, request }),
      {
        query: JobQuery,
      },
    )
    .delete("/jobs/:id", ({ params, request }) => removeJob(ports, params.id, request), {
      parse: "none",
      query: NoQuery,
    })
    .post("/jobs/:id/cancel", ({ params, request }) => cancel(ports, params.id, request), {
      parse: "none",
      query: NoQuery,
    })
    .post("/jobs/:id/rerun", ({ params, request }) => rerun(ports, params.id, request), {
      parse: "none",
      query: NoQuery,
    });
}

async function getJob(
  ports: RoutePorts,
  id: string,
  { query, request }: { readonly query: Static<typeof JobQuery>; readonly request: Request },
): Promise<Response> {
  const job = await findJob(ports, id, request);
  const timeoutMs = Number(query.wait ?? 0) * 1000;
  if (timeoutMs === 0) return Response.json(await describeJob(ports, job));
  const leave = ports.streams.enterRequest(ports.callerOf(request).keyId);
  try {
    const signal = AbortSignal.any([request.signal, ports.streams.closing]);
    const latest = await untilEnded(ports.store, job, { timeoutMs, signal });
    return Response.json(await describeJob(ports, latest));
  } finally {
    leave();
  }
}

async function listJobs(
  ports: RoutePorts,
  { query, request }: { readonly query: Static<typeof ListQuery>; readonly request: Request },
): Promise<Response> {
  const { store, callerOf } = ports;
  const { items, nextCursor } = await store.list({
    filter: await filterOf(ports, query),
    onlyOf: callerOf(request).onlyJobsOf,
    limit: Number(query.limit ?? DEFAULT_PAGE),
    ...(query.cursor === undefined ? {} : { cursor: query.cursor }),
  });
  return Response.json({
    items: items.map(listedJobView),
    next_cursor: nextCursor ?? null,
  });
}

async function filterOf(
  ports: RoutePorts,
  { status, runtime, label }: Static<typeof ListQuery>,
): Promise<JobFilter> {
  const colon = label?.indexOf(":") ?? -1;
  return {
    ...(status !== undefined && { status }),
    ...(runtime !== undefined && { runtime: await fullName(ports, runtime) }),
    ...(label !== undefined && {
      label: { name: label.slice(0, colon), value: label.slice(colon + 1) },
    }),
  };
}

/** What a runtime is called in the records of its jobs, where an alias of it is given. */
async function fullName(ports: RoutePorts, name: string): Promise<string> {
  const found = (await ports.runtimes()).list().find(({ aliases }) => aliases.includes(name));
  return found?.name ?? name;
}

async function cancel(ports: RoutePorts, id: string, request: Request): Promise<Response> {
  await findJob(ports, id, request);
  const answer = await ports.store.requestCancel(id);
  const job = await findJob(ports, id, request);
  const fields = { job_id: id, status: job.status };
  ports
    .logOf(request)
    .debug("job_cancel_asked", `The end of a job was asked for: ${answer}.`, fields);
  const status = answer === "ended" && isTerminal(job.status) ? 200 : 202;
  return Response.json(await describeJob(ports, job), { status });
}

/** An ended job disappears: files, record and log. */
async function removeJob(ports: RoutePorts, id: string, request: Request): Promise<Response> {
  const job = await findJob(ports, id, request);
  if (!isTerminal(job.status))
    throw new AppError(
      "job_active",
      `The job is ${job.status}; only one that has ended can be removed. Cancel it first.`,
    );
  // Files first, as the reaper does: a record without files is found again, files without a record only long after.
  await ports.files.remove(id);
  await ports.store.remove(id);
  return new Response(null, { status: 204 });
}
