import type { Reason } from "./outcome.ts";
import type { TerminalStatus } from "./states.ts";

/**
 * Where output comes from: a program's two outputs, and what is run before it, its compiler and the installer of its
 * dependencies, whatever those print to which of their own.
 */
export const STREAM_NAMES = ["stdout", "stderr", "compiler", "installer"] as const;

export type StreamName = (typeof STREAM_NAMES)[number];

/** Some consecutive bytes of one stream. */
export interface Frame {
  readonly stream: StreamName;
  readonly bytes: Uint8Array;
}

/**
 * A log's entries are ordered by (epoch, seq). An epoch is one claim of the job: its fencing token, and a number that
 * only grows. `seq` counts from 0 within an epoch without a hole (except that an end entry of a job that was never
 * claimed has seq 1).
 */
export interface EntryId {
  readonly epoch: number;
  readonly seq: number;
}

/** What a worker appends: output, or a note that output was dropped. */
export type LogBody =
  | { readonly kind: "frames"; readonly frames: readonly Frame[] }
  /** Written when output past the cap, or for which a full store had no room, is dropped; `droppedBytes` is the total so far in this attempt. */
  | { readonly kind: "gap"; readonly droppedBytes: number };

/** What the stream's `end` event carries: the record's final words. */
export interface EndNote {
  readonly status: TerminalStatus;
  readonly reason: Reason | null;
  readonly exitCode: number | null;
  readonly signal: string | null;
}

export type LogEntry = EntryId &
  (
    | LogBody
    /** Always `<epoch>-0`. `reason` is null for the first attempt, else why the one before did not end. */
    | {
        readonly kind: "attempt";
        readonly attempt: number;
        readonly reason: AttemptReason | null;
      }
    /** The last entry of every log whose job has ended. */
    | { readonly kind: "end"; readonly end: EndNote }
  );

/** Why a job runs again: its worker died, or handed it back on a drain. */
export type AttemptReason = "worker_lost" | "worker_drained";

/** The order of a log, by epoch and then by seq: below 0 where `a` comes first, 0 for the same id. */
export function compareEntryIds(a: EntryId, b: EntryId): number {
  return a.epoch - b.epoch || a.seq - b.seq;
}

/** The least id that is greater than `id`: where to read on after that entry. */
export function entryIdAfter({ epoch, seq }: EntryId): EntryId {
  return { epoch, seq: seq + 1 };
}

/** The greatest id that is less than `id`; null where there is none. */
export function entryIdBefore({ epoch, seq }: EntryId): EntryId | null {
  if (seq > 0) return { epoch, seq: seq - 1 };
  return epoch > 0 ? { epoch: epoch - 1, seq: Number.MAX_SAFE_INTEGER } : null;
}

/** Payload bytes of some frames. */
export function framesByteLength(frames: readonly Frame[]): number {
  let total = 0;
  for (const frame of frames) total += frame.bytes.length;
  return total;
}

/** Payload bytes of an entry, or of what is to become one; 0 for all that is not output. */
export function entryByteLength(entry: LogBody | LogEntry): number {
  return entry.kind === "frames" ? framesByteLength(entry.frames) : 0;
}

/** What a worker puts into one entry at most: so many payload bytes... */
export const ENTRY_MAX_BYTES = 64 * 1024;
/** ...in so many frames, of which a program makes one with each byte that it writes to its two streams in turn. */
export const ENTRY_MAX_FRAMES = 1_000;

/**
 * About what the objects around an entry and around each of its frames weigh in memory: a log of single characters is
 * mostly these.
 */
export const OBJECT_BYTES = 128;

/** What an entry takes of its holder's memory: 189 KiB at most (ENTRY_MAX_BYTES in ENTRY_MAX_FRAMES). */
export function entryMemoryBytes(entry: LogBody | LogEntry): number {
  const frames = entry.kind === "frames" ? entry.frames.length : 0;
  return entryByteLength(entry) + OBJECT_BYTES * (1 + frames);
}

/** The same of a full entry as nearly all are: of a few frames. */
export const FULL_ENTRY_MEMORY_BYTES = ENTRY_MAX_BYTES + 16 * OBJECT_BYTES;
