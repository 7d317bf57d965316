import type { Static } from "@sinclair/typebox";
import { Elysia } from "elysia";

import type { Logger } from "../logger.ts";
import { parseEventId } from "../logs/events.ts";
import { FINISHED, type FollowEnd, type FollowStep, followLog } from "../logs/follow.ts";
import { countStreamedBytes } from "../platform/memory.ts";
import { findJob } from "./find-job.ts";
import { attemptOf } from "./log-selection.ts";
import { sendSnapshot } from "./log-snapshot.ts";
import type { OpenStreams } from "./open-streams.ts";
import type { RoutePorts } from "./ports.ts";
import { SnapshotQuery, StreamQuery } from "./request-schemas.ts";
import { frameEvents, frameRestart, HEARTBEAT, RESET, STREAM_OPENING } from "./sse.ts";

/** What a job printed: as it is so far, and as it comes. */
export function logRoutes(ports: RoutePorts) {
  return new Elysia({ name: "logs" })
    .get(
      "/jobs/:id/logs",
      ({ params, query, request }) => sendSnapshot(ports, params.id, { query, request }),
      { query: SnapshotQuery },
    )
    .get(
      "/jobs/:id/logs/stream",
      ({ params, query, request }) => stream(ports, params.id, { query, request }),
      { query: StreamQuery },
    );
}

async function stream(
  ports: RoutePorts,
  id: string,
  { query, request }: { query: Static<typeof StreamQuery>; request: Request },
): Promise<Response> {
  const job = await findJob(ports, id, request);
  const lastEventId = request.headers.get("last-event-id") ?? query.last_event_id ?? "";
  // Not the request's own signal, which would keep all of the request: a client that leaves cancels the body, read or not.
  const stop = new AbortController();
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
      frame: frameEvents,
    },
    stop.signal,
  );
  // The answer that makes an EventSource stop (WHATWG HTML, "Server-sent events": 204 fails the connection for good).
  if (steps === FINISHED) return new Response(null, { status: 204 });
  ports.streams.enter(stop, ports.callerOf(request).keyId);
  const log = ports.logOf(request);
  return new Response(
    new ReadableStream(new StreamSource(steps, { id, stop, log, streams: ports.streams })),
    {
      headers: {
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-store, no-transform",
        "X-Accel-Buffering": "no",
        "X-Content-Type-Options": "nosniff",
      },
    },
  );
}

type Step = FollowStep<Uint8Array<ArrayBuffer>>;

/**
 * What one client follows, pulled by its own pace: a slow one holds one page of the log, and no queue. One object for all of
 * it, and no closure, which would hold the request as well: a stream that waits is to take little.
 */
class StreamSource {
  readonly #steps: AsyncGenerator<Step, FollowEnd>;
  readonly #open: OpenStream;
  readonly #openedAtMs = performance.now();
  #isBegun = false;
  #isOver = false;

  constructor(steps: AsyncGenerator<Step, FollowEnd>, open: OpenStream) {
    this.#steps = steps;
    this.#open = open;
    open.log.debug("stream_opened", "A stream of a job's log was opened.", { job_id: open.id });
  }

  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    // Headers leave with the first chunk, so one goes out before there is anything to say.
    if (!this.#isBegun) {
      this.#isBegun = true;
      controller.enqueue(OPENING_BYTES);
      return;
    }
    try {
      const step = await this.#steps.next();
      if (step.done !== true) {
        controller.enqueue(counted(chunkOf(step.value)));
        return;
      }
      if (step.value === "stopped") controller.enqueue(encoder.encode(frameRestart(Math.random())));
      controller.close();
      this.#end();
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  /** The client is gone, also where it has not read anything. */
  async cancel(): Promise<void> {
    this.#end();
    this.#open.stop.abort();
    await this.#steps.return("over");
  }

  /** Nothing more is sent. */
  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { id, stop, log, streams } = this.#open;
    streams.leave(stop);
    const fields = { job_id: id, duration_ms: Math.round(performance.now() - this.#openedAtMs) };
    log.debug("stream_closed", "A stream of a job's log was closed.", fields);
  }
}

/** A stream that has its place. */
interface OpenStream {
  /** Of its job. */
  readonly id: string;
  readonly stop: AbortController;
  readonly log: Logger;
  readonly streams: OpenStreams;
}

const encoder = new TextEncoder();
/** The same for all streams. */
const OPENING_BYTES = encoder.encode(STREAM_OPENING);
const HEARTBEAT_BYTES = encoder.encode(HEARTBEAT);
const RESET_BYTES = encoder.encode(RESET);

function chunkOf(step: Step): Uint8Array<ArrayBuffer> {
  if (step.kind === "events") return step.events;
  return step.kind === "heartbeat" ? HEARTBEAT_BYTES : RESET_BYTES;
}

/** So often is output in memory on its way from the store to a client: as it came, taken out of that, and as it is sent. */
const COPIES = 3;

function counted<Chunk extends Uint8Array>(chunk: Chunk): Chunk {
  countStreamedBytes(COPIES * chunk.length);
  return chunk;
}
