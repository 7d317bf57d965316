import { type JobRecord, type NewJob, PRIORITIES } from "../../jobs/job.ts";
import type { AttemptReason, EndNote, Frame, LogEntry, StreamName } from "../../jobs/log-entry.ts";
import { framesByteLength } from "../../jobs/log-entry.ts";
import type { Outcome } from "../../jobs/outcome.ts";
import { NO_LIMITS, type SubmitLimits } from "../../jobs/quotas.ts";
import type { JobStatus } from "../../jobs/states.ts";

/** A row of `job` with its `spec`: what RECORD_COLUMNS selects. */
export interface RecordRow {
  readonly n: number;
  readonly key_id: string | null;
  readonly state: JobStatus;
  readonly created_at: number;
  readonly started_at: number | null;
  readonly finished_at: number | null;
  readonly epoch: number;
  readonly epochs: string;
  readonly owner: string | null;
  readonly crashes: number;
  readonly retry_reason: AttemptReason | null;
  readonly cancel_requested: number;
  readonly log_bytes: number;
  readonly log_dropped_bytes: number;
  readonly outcome: string | null;
  readonly submitted: string;
}

/** For a select from `job` joined with `spec`; the rows are RecordRow. */
export const RECORD_COLUMNS = `job.n, key_id, state, created_at, started_at, finished_at, epoch, epochs, owner, crashes,
  retry_reason, cancel_requested, log_bytes, log_dropped_bytes, outcome, submitted`;

/** A NewJob as it is stored, and what it must not go past. */
export interface SubmitRow {
  readonly id: string;
  readonly keyId: string | null;
  /** A position in PRIORITIES: the greater goes first. */
  readonly priority: number;
  /** The rest of the NewJob as JSON. */
  readonly submitted: string;
  /** Whether somebody is to be told of its end. */
  readonly hasCallback: boolean;
  readonly limits: SubmitLimits;
}

export function encodeNewJob(
  { keyId, ...submitted }: NewJob,
  limits: SubmitLimits = NO_LIMITS,
): SubmitRow {
  return {
    id: submitted.id,
    keyId,
    priority: PRIORITIES.indexOf(submitted.spec.priority),
    submitted: JSON.stringify(submitted),
    hasCallback: submitted.spec.callbackUrl !== undefined,
    limits,
  };
}

/** The port's record. Times stay Unix milliseconds of this host's clock. */
export function decodeRecord(row: RecordRow): JobRecord {
  const submitted = JSON.parse(row.submitted) as Omit<NewJob, "keyId">;
  return {
    ...submitted,
    keyId: row.key_id,
    status: row.state,
    createdAtMs: row.created_at,
    startedAtMs: row.started_at,
    finishedAtMs: row.finished_at,
    epoch: row.epoch,
    epochs: JSON.parse(row.epochs) as number[],
    crashes: row.crashes,
    retryReason: row.retry_reason,
    owner: row.owner,
    cancelRequested: row.cancel_requested === 1,
    log: { bytes: row.log_bytes, droppedBytes: row.log_dropped_bytes },
    outcome: row.outcome === null ? null : (JSON.parse(row.outcome) as Outcome),
  };
}

/** A row of `chunk`, less what finds it. */
export interface EntryRow {
  readonly epoch: number;
  readonly seq: number;
  readonly kind: LogEntry["kind"];
  /** Frames as below; for the other kinds UTF-8 JSON. */
  readonly body: Uint8Array;
}

/** An entry ready to be stored. `payloadBytes` is what counts against a reader's `maxBytes`. */
export interface EncodedEntry extends EntryRow {
  readonly payloadBytes: number;
}

const utf8Encoder = new TextEncoder();
const utf8Decoder = new TextDecoder();

/** A log entry as a row of `chunk`; the body of frames is laid out as FRAME_HEADER_BYTES says. */
export function encodeEntry(entry: LogEntry): EncodedEntry {
  const { epoch, seq, kind } = entry;
  switch (entry.kind) {
    case "frames":
      return {
        epoch,
        seq,
        kind,
        body: encodeFrames(entry.frames),
        payloadBytes: framesByteLength(entry.frames),
      };
    case "gap":
      return { epoch, seq, kind, body: encodeJson(entry.droppedBytes), payloadBytes: 0 };
    case "attempt": {
      const { attempt, reason } = entry;
      return { epoch, seq, kind, body: encodeJson({ attempt, reason }), payloadBytes: 0 };
    }
    case "end":
      return { epoch, seq, kind, body: encodeJson(entry.end), payloadBytes: 0 };
  }
}

/** What encodeEntry was given. The bytes of frames are views into the row's body. */
export function decodeEntry(row: EntryRow): LogEntry {
  const { epoch, seq, kind, body } = row;
  switch (kind) {
    case "frames":
      return { epoch, seq, kind, frames: decodeFrames(body) };
    case "gap":
      return { epoch, seq, kind, droppedBytes: decodeJson(body) as number };
    case "attempt":
      return {
        epoch,
        seq,
        kind,
        ...(decodeJson(body) as { attempt: number; reason: AttemptReason | null }),
      };
    case "end":
      return { epoch, seq, kind, end: decodeJson(body) as EndNote };
  }
}

/*
 * A frame is one byte for its stream (a position in FRAME_STREAMS), four for its length (big endian), then its bytes.
 * Text columns would not keep what a program prints: it need not be UTF-8.
 */
const FRAME_HEADER_BYTES = 5;
const FRAME_STREAMS = [
  "stdout",
  "stderr",
  "compiler",
  "installer",
] as const satisfies readonly StreamName[];

/** Of an encoded entry; 0 or little more for one that has no frames. */
export function frameCount(bodyBytes: number, payloadBytes: number): number {
  return Math.floor((bodyBytes - payloadBytes) / FRAME_HEADER_BYTES);
}

function encodeFrames(frames: readonly Frame[]): Uint8Array {
  const body = new Uint8Array(framesByteLength(frames) + frames.length * FRAME_HEADER_BYTES);
  const view = new DataView(body.buffer);
  let offset = 0;
  for (const { stream, bytes } of frames) {
    view.setUint8(offset, FRAME_STREAMS.indexOf(stream));
    view.setUint32(offset + 1, bytes.length);
    body.set(bytes, offset + FRAME_HEADER_BYTES);
    offset += FRAME_HEADER_BYTES + bytes.length;
  }
  return body;
}

function decodeFrames(body: Uint8Array): readonly Frame[] {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const frames: Frame[] = [];
  let offset = 0;
  while (offset < body.length) {
    const stream = FRAME_STREAMS[view.getUint8(offset)] ?? "stdout";
    const start = offset + FRAME_HEADER_BYTES;
    offset = start + view.getUint32(offset + 1);
    frames.push({ stream, bytes: body.subarray(start, offset) });
  }
  return frames;
}

function encodeJson(value: unknown): Uint8Array {
  return utf8Encoder.encode(JSON.stringify(value));
}

function decodeJson(body: Uint8Array): unknown {
  return JSON.parse(utf8Decoder.decode(body));
}
