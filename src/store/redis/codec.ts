/*
 * How records and log entries look in Redis.
 *
 * Record, HASH {jr}:job:<id>: `job` = what was submitted (JSON), `key` = API key that it belongs to, `prio`, `state`, times in ms (`created`, `started`,
 * `finished`), `epoch`, `epochs` (comma-separated), `owner`, `seq` = the log's last seq, `crashes`, `retry`, `cancel` (1),
 * `bytes` and `dropped`, `outcome` (JSON), `finished_by` = claim whose finish ended it, `once` = key that its submit is
 * remembered under, `callback` = key of the outbox that its end is entered into, `callback_tries`. What does not apply is
 * absent.
 *
 * Log entry, STREAM {jr}:log:<id>, id `<epoch>-<seq>`, told apart by the name of the first field:
 *   attempt <n> reason <text, empty for the first>     written by claim, always seq 0
 *   o <bytes> e <bytes> o <bytes> ...                  frames in order, raw bytes: o = stdout, e = stderr, c = compiler, i = installer
 *   frames <packed>                                    the same for more frames than one script call takes: per frame one
 *                                                      byte o, e, c or i, length (32 bits, big-endian), bytes
 *   gap <dropped bytes so far>
 *   end <note, JSON>
 */
import type { JobRecord, NewJob } from "../../jobs/job.ts";
import type {
  AttemptReason,
  EndNote,
  EntryId,
  Frame,
  LogBody,
  LogEntry,
  StreamName,
} from "../../jobs/log-entry.ts";
import type { Outcome } from "../../jobs/outcome.ts";
import type { JobStatus } from "../../jobs/states.ts";

/** What was submitted and nothing else, whatever more the object at hand carries; whose it is stands beside it. */
export function encodeNewJob({ id, spec, files, runtime, warnings, traceparent }: NewJob): string {
  return JSON.stringify({
    id,
    spec,
    files,
    runtime,
    warnings,
    ...(traceparent !== undefined && { traceparent }),
  } satisfies Omit<NewJob, "keyId">);
}

/** A record from its hash as HGETALL gives it, flat; null when there is none. */
export function decodeRecord(fields: readonly string[]): JobRecord | null {
  if (fields.length === 0) return null;
  const hash = new Map<string, string>();
  for (let index = 0; index + 1 < fields.length; index += 2)
    hash.set(fields[index] ?? "", fields[index + 1] ?? "");
  const number = (name: string): number => Number(hash.get(name) ?? 0);
  const numberOrNull = (name: string): number | null => (hash.has(name) ? number(name) : null);
  const epochs = hash.get("epochs") ?? "";
  const outcome = hash.get("outcome");
  return {
    ...(JSON.parse(hash.get("job") ?? "") as Omit<NewJob, "keyId">),
    keyId: hash.get("key") ?? null,
    status: hash.get("state") as JobStatus,
    createdAtMs: number("created"),
    startedAtMs: numberOrNull("started"),
    finishedAtMs: numberOrNull("finished"),
    epoch: number("epoch"),
    epochs: epochs === "" ? [] : epochs.split(",").map(Number),
    crashes: number("crashes"),
    retryReason: (hash.get("retry") as AttemptReason | undefined) ?? null,
    owner: hash.get("owner") ?? null,
    cancelRequested: hash.has("cancel"),
    log: { bytes: number("bytes"), droppedBytes: number("dropped") },
    outcome: outcome === undefined ? null : (JSON.parse(outcome) as Outcome),
  };
}

/** Lua unpacks at most 8,000 values onto its stack (LUAI_MAXCSTACK of Redis' Lua 5.1); two per frame, and some to spare. */
const MAX_FRAMES_AS_FIELDS = 1_000;

/** The fields and values of an entry's stream item. */
export function encodeBody(body: LogBody): readonly (string | Buffer)[] {
  if (body.kind === "gap") return ["gap", body.droppedBytes.toString()];
  // A stream item has one field at least, so no frames at all are packed too.
  if (body.frames.length === 0 || body.frames.length > MAX_FRAMES_AS_FIELDS)
    return ["frames", packFrames(body.frames)];
  return body.frames.flatMap((frame) => [FIELD_OF[frame.stream], bufferOf(frame.bytes)]);
}

const FIELD_OF = {
  stdout: "o",
  stderr: "e",
  compiler: "c",
  installer: "i",
} as const satisfies Readonly<Record<StreamName, string>>;
const STREAM_OF: Readonly<Record<string, StreamName>> = {
  o: "stdout",
  e: "stderr",
  c: "compiler",
  i: "installer",
};

/** The same memory as a Buffer: the client sends those as they are. */
const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function packFrames(frames: readonly Frame[]): Buffer {
  const parts: Buffer[] = [];
  for (const frame of frames) {
    const head = Buffer.alloc(5);
    head.write(FIELD_OF[frame.stream], "latin1");
    head.writeUInt32BE(frame.bytes.length, 1);
    parts.push(head, bufferOf(frame.bytes));
  }
  return Buffer.concat(parts);
}

function unpackFrames(packed: Buffer): readonly Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at < packed.length;) {
    const length = packed.readUInt32BE(at + 1);
    frames.push(
      frameOf(packed.toString("latin1", at, at + 1), packed.subarray(at + 5, at + 5 + length)),
    );
    at += 5 + length;
  }
  return frames;
}

/** A reply's buffers may be views of one big chunk, which a reader would keep alive whole: what is less than half of it is copied. */
const frameOf = (field: string, bytes: Buffer): Frame => ({
  stream: STREAM_OF[field] ?? "stderr",
  bytes:
    bytes.length < bytes.buffer.byteLength / 2
      ? new Uint8Array(bytes)
      : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length),
});

/** A log entry from a stream item as the Buffer commands give it. */
export function decodeEntry([id, fields]: readonly [
  id: Buffer,
  fields: readonly Buffer[],
]): LogEntry {
  const text = (index: number): string => fields[index]?.toString() ?? "";
  const entryId = decodeEntryId(id.toString());
  switch (text(0)) {
    case "attempt":
      return {
        ...entryId,
        kind: "attempt",
        attempt: Number(text(1)),
        reason: (text(3) || null) as AttemptReason | null,
      };
    case "gap":
      return { ...entryId, kind: "gap", droppedBytes: Number(text(1)) };
    case "end":
      return { ...entryId, kind: "end", end: JSON.parse(text(1)) as EndNote };
    case "frames":
      return { ...entryId, kind: "frames", frames: unpackFrames(fields[1] ?? Buffer.alloc(0)) };
    default: {
      const frames: Frame[] = [];
      for (let index = 0; index + 1 < fields.length; index += 2)
        frames.push(frameOf(text(index), fields[index + 1] ?? Buffer.alloc(0)));
      return { ...entryId, kind: "frames", frames };
    }
  }
}

/** As Redis writes the id of a stream item: `<epoch>-<seq>`. */
export function encodeEntryId({ epoch, seq }: EntryId): string {
  return `${epoch.toString()}-${seq.toString()}`;
}

/** From `<epoch>-<seq>`. */
export function decodeEntryId(id: string): EntryId {
  const [epoch, seq] = id.split("-");
  return { epoch: Number(epoch), seq: Number(seq) };
}
