import { type Static, Type } from "@sinclair/typebox";
import { Elysia } from "elysia";

import { AppError } from "../errors.ts";
import type { JobRecord } from "../jobs/job.ts";
import type { Logger } from "../logger.ts";
import { parseEventId } from "../logs/events.ts";
import {
  type AttemptSelection,
  FINISHED,
  type FollowEnd,
  type FollowStep,
  followLog,
  readSnapshot,
} from "../logs/follow.ts";
import { findJob } from "./jobs.ts";
import type { ApiPorts, RoutePorts } from "./ports.ts";
import { frameRestart, frameStep, STREAM_OPENING } from "./sse.ts";

const selection = {
  stream: Type.Optional(Type.Union([Type.Literal("stdout"), Type.Literal("stderr")])),
  attempt: Type.Optional(
    Type.String({
      pattern: "^(all|latest|[1-9][0-9]{0,5})$",
      description: "all, latest, or the number of one attempt",
    }),
  ),
};

export const SnapshotQuery = Type.Object(selection, { additionalProperties: false });

export const StreamQuery = Type.Object(
  {
    ...selection,
    format: Type.Optional(Type.Union([Type.Literal("plain"), Type.Literal("json")])),
    last_event_id: Type.Optional(Type.String({ maxLength: 100 })),
  },
  { additionalProperties: false },
);

/** What a job printed: as it is so far, and as it comes. */
export function logRoutes(ports: RoutePorts) {
  return new Elysia({ name: "logs" })
    .get("/jobs/:id/logs", ({ params, query }) => snapshot(ports, params.id, query), {
      query: SnapshotQuery,
    })
    .get(
      "/jobs/:id/logs/stream",
      ({ params, query, request }) => stream(ports, params.id, { query, request }),
      { query: StreamQuery },
    );
}

async function snapshot(
  ports: ApiPorts,
  id: string,
  query: Static<typeof SnapshotQuery>,
): Promise<Response> {
  const job = await findJob(ports, id);
  const pages = readSnapshot(ports.store, job, {
    attempt: attemptOf(query.attempt, job),
    stream: query.stream,
  });
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const page = await pages.next();
      if (page.done === true) controller.close();
      else controller.enqueue(page.value);
    },
    async cancel() {
      await pages.return(undefined);
    },
  });
  return new Response(body, {
    headers: {
      "Content-Type": "text/plain; charset=utf-8",
      "Cache-Control": "no-store",
      // A browser that guessed HTML would run what a program printed.
      "X-Content-Type-Options": "nosniff",
      "Content-Security-Policy": "sandbox; default-src 'none'",
    },
  });
}

async function stream(
  ports: RoutePorts,
  id: string,
  { query, request }: { query: Static<typeof StreamQuery>; request: Request },
): Promise<Response> {
  const job = await findJob(ports, id);
  const lastEventId = request.headers.get("last-event-id") ?? query.last_event_id ?? "";
  const gone = new AbortController();
  const steps = await followLog(
    ports.logs,
    job,
    {
      id,
      mode: query.format ?? "plain",
      stream: query.stream,
      attempt: attemptOf(query.attempt, job),
      after: parseEventId(lastEventId),
      heartbeatMs: ports.heartbeatMs,
    },
    AbortSignal.any([gone.signal, request.signal, ports.closing]),
  );
  // The answer that makes an EventSource stop (WHATWG HTML, "Server-sent events": 204 fails the connection for good).
  if (steps === FINISHED) return new Response(null, { status: 204 });
  const onOver = ports.streams.enter();
  const log = ports.logOf(request).child({ job_id: id });
  return new Response(streamBody(logged(steps, log), { gone, onOver }), {
    headers: {
      "Content-Type": "text/event-stream",
      "Cache-Control": "no-store, no-transform",
      "X-Accel-Buffering": "no",
      "X-Content-Type-Options": "nosniff",
    },
  });
}

/** The same steps, their begin and end logged; the end also where the client has gone. */
async function* logged(
  steps: AsyncGenerator<FollowStep, FollowEnd>,
  log: Logger,
): AsyncGenerator<FollowStep, FollowEnd> {
  const openedAtMs = performance.now();
  log.debug("stream_opened", "A stream of a job's log was opened.");
  try {
    return yield* steps;
  } finally {
    const duration = Math.round(performance.now() - openedAtMs);
    log.debug("stream_closed", "A stream of a job's log was closed.", { duration_ms: duration });
  }
}

/**
 * Pulled by the client's own pace: a slow one holds one page of the log, and no queue. `onOver` is called when nothing more
 * is sent: after the last step, or when the client is gone, also where it has not read anything.
 */
function streamBody(
  steps: AsyncGenerator<FollowStep, FollowEnd>,
  { gone, onOver }: { readonly gone: AbortController; readonly onOver: () => void },
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let isOpen = false;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      // Headers leave with the first chunk, so one goes out before there is anything to say.
      if (!isOpen) {
        isOpen = true;
        controller.enqueue(encoder.encode(STREAM_OPENING));
        return;
      }
      const step = await steps.next().catch((error: unknown) => {
        onOver();
        throw error;
      });
      if (step.done !== true) {
        controller.enqueue(encoder.encode(frameStep(step.value)));
        return;
      }
      onOver();
      if (step.value === "stopped") controller.enqueue(encoder.encode(frameRestart(Math.random())));
      controller.close();
    },
    async cancel() {
      onOver();
      gone.abort();
      await steps.return("over");
    },
  });
}

function attemptOf(given: string | undefined, job: JobRecord): AttemptSelection {
  if (given === undefined || given === "latest") return "latest";
  if (given === "all") return "all";
  const attempt = Number(given);
  if (attempt > job.epochs.length)
    throw new AppError(
      "not_found",
      `The job has had ${job.epochs.length} attempts; there is no attempt ${attempt}.`,
      { fields: [{ pointer: "/attempt", detail: "There is no such attempt." }] },
    );
  return attempt;
}
