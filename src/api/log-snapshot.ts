import type { Static } from "@sinclair/typebox";

import { AppError } from "../errors.ts";
import type { JobRecord } from "../jobs/job.ts";
import { isTerminal } from "../jobs/states.ts";
import { measure, slice } from "../logs/extent.ts";
import { openSnapshot, readSnapshot, type Snapshot } from "../logs/snapshot.ts";
import { countStreamedBytes } from "../platform/memory.ts";
import { type ByteRange, parseByteRange } from "./byte-range.ts";
import { contentRange } from "./download.ts";
import { findJob } from "./find-job.ts";
import { attemptOf } from "./log-selection.ts";
import { ndjsonLines } from "./ndjson.ts";
import type { RoutePorts } from "./ports.ts";
import type { SnapshotQuery } from "./request-schemas.ts";

type Query = Static<typeof SnapshotQuery>;

/** What is sent of a log. */
interface Part {
  readonly chunks: AsyncGenerator<Uint8Array>;
  /** Set where only a range was asked for. */
  readonly contentRange?: string;
}

/** So often is output in memory on its way from the store to a client: as it came, taken out of that, and as it is sent. */
const COPIES = 3;

/** GET /jobs/{id}/logs: what the job has printed so far. */
export async function sendSnapshot(
  ports: RoutePorts,
  id: string,
  { query, request }: { readonly query: Query; readonly request: Request },
): Promise<Response> {
  if (query.tail !== undefined && query.format === "ndjson") throw noTailOfEvents();
  const job = await findJob(ports, id, request);
  const attempt = attemptOf(query.attempt, job);
  const leave = ports.streams.enterRequest(ports.callerOf(request).keyId);
  try {
    const snapshot = await openSnapshot(ports.store, job, attempt);
    if (query.format === "ndjson")
      return new Response(pulled(ndjsonLines(snapshot, query.stream), leave), {
        headers: { ...HEADERS, "Content-Type": "application/x-ndjson" },
      });
    const part = await partOf(snapshot, { job, query, rangeHeader: rangeHeaderOf(request) });
    const { contentRange: range } = part;
    return new Response(pulled(part.chunks, leave), {
      status: range === undefined ? 200 : 206,
      headers: {
        ...HEADERS,
        "Content-Type": "text/plain; charset=utf-8",
        "Accept-Ranges": "bytes",
        ...(range !== undefined && { "Content-Range": range }),
      },
    });
  } catch (error) {
    leave();
    throw error;
  }
}

const HEADERS = {
  "Cache-Control": "no-store",
  // A browser that guessed HTML would run what a program printed.
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": "sandbox; default-src 'none'",
};

/** A log has no validator that an If-Range could name: then the whole of it is the answer (RFC 9110, section 13.1.5). */
function rangeHeaderOf(request: Request): string | null {
  return request.headers.has("if-range") ? null : request.headers.get("range");
}

async function partOf(
  snapshot: Snapshot,
  asked: { readonly job: JobRecord; readonly query: Query; readonly rangeHeader: string | null },
): Promise<Part> {
  const { query, rangeHeader } = asked;
  const read = () => readSnapshot(snapshot, query.stream);
  if (query.tail !== undefined) {
    const { tailStart, sizeBytes } = await measure(read(), Number(query.tail));
    return { chunks: slice(read(), { start: tailStart, end: sizeBytes }) };
  }
  if (rangeHeader === null) return { chunks: read() };
  const sizeBytes = knownSize(asked.job, query) ?? (await measure(read(), 1)).sizeBytes;
  const range: ByteRange | null = parseByteRange(rangeHeader, sizeBytes);
  if (range === null) return { chunks: read() };
  return { chunks: slice(read(), range), contentRange: contentRange(range, sizeBytes) };
}

/** The size of a whole log that will not grow; null where it must be read to be known. */
function knownSize(job: JobRecord, { stream, attempt = "latest" }: Query): number | null {
  return stream === undefined && attempt === "latest" && isTerminal(job.status)
    ? job.log.bytes
    : null;
}

/** Pulled by the client's own pace. `onOver` is called once nothing more is sent, also where the client is gone. */
function pulled(
  chunks: AsyncGenerator<Uint8Array>,
  onOver: () => void,
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const chunk = await chunks.next();
        if (chunk.done !== true) {
          countStreamedBytes(COPIES * chunk.value.length);
          controller.enqueue(chunk.value);
          return;
        }
        controller.close();
        onOver();
      } catch (error) {
        onOver();
        throw error;
      }
    },
    async cancel() {
      onOver();
      await chunks.return(undefined);
    },
  });
}

function noTailOfEvents(): AppError {
  const detail = "The last lines can be had as text only, not as ndjson.";
  return new AppError("invalid_query", `/tail: ${detail}`, {
    fields: [{ pointer: "/tail", detail }],
  });
}
