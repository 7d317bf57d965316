/*
 * Where parts of a log lie that is only known as a stream of bytes: its length, its last lines, the bytes of a range. In
 * constant memory, whatever the log's length and that of its lines.
 */

const LF = 0x0a;

export interface Extent {
  readonly sizeBytes: number;
  /** Where the last lines begin: an offset in bytes from the start. */
  readonly tailStart: number;
}

/** Reads a log to its end: how long it is, and where its last `tailLines` lines begin (at least 1), as tail(1) counts them. */
export async function measure(
  chunks: AsyncIterable<Uint8Array>,
  tailLines: number,
): Promise<Extent> {
  // One more than asked for: where the last line has an end, an empty one seems to follow it.
  const starts = new Float64Array(tailLines + 1);
  let lines = 1;
  let sizeBytes = 0;
  for await (const chunk of chunks) {
    for (let at = chunk.indexOf(LF); at !== -1; at = chunk.indexOf(LF, at + 1))
      starts[lines++ % starts.length] = sizeBytes + at + 1;
    sizeBytes += chunk.length;
  }
  const isLastEmpty = starts[(lines - 1) % starts.length] === sizeBytes;
  const first = lines - (isLastEmpty ? 1 : 0) - tailLines;
  return { sizeBytes, tailStart: first <= 0 ? 0 : (starts[first % starts.length] ?? 0) };
}

/** The bytes from `start` to `end`, exclusive; what comes after is not read. */
export async function* slice(
  chunks: AsyncIterable<Uint8Array>,
  { start, end }: { readonly start: number; readonly end: number },
): AsyncGenerator<Uint8Array> {
  let offset = 0;
  for await (const chunk of chunks) {
    const part = chunk.subarray(Math.max(start - offset, 0), Math.max(end - offset, 0));
    if (part.length > 0) yield part;
    offset += chunk.length;
    if (offset >= end) return;
  }
}
