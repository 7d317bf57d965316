import { SUCCEEDED } from "./job-client.ts";

const EVENT_END = Buffer.from("\n\n");
const LINE_FEED = 0x0a;
/** The opening of a stream and `attempt`. */
const SHORT_EVENTS = 2;
/** Every other event is longer than this: the search for its end begins there. */
const LONG_EVENT_BYTES = 100;
/** Enough to hold the whole event `end`. */
const TAIL_BYTES = 512;

export interface EventCounter {
  /** The next bytes of the stream. */
  readonly take: (bytes: Buffer) => void;
  /** Throws unless there were so many events, the last of them the end of a job that succeeded. */
  readonly expect: (count: number) => void;
  /** From the first line to the end. */
  readonly elapsedMs: () => number;
}

/**
 * Counts events without looking at each byte, since the reader has its share of the two cores: by their empty lines, of
 * which a line of the program must make none; it begins with a 0.
 */
export function createEventCounter(): EventCounter {
  let count = 0;
  let firstLineMs = Number.NaN;
  let lastMs = Number.NaN;
  let tail = "";
  return {
    take: (bytes: Buffer): void => {
      lastMs = performance.now();
      if (Number.isNaN(firstLineMs) && bytes.includes("\ndata: 0")) firstLineMs = lastMs;
      // The end of an event may lie across two reads.
      if (bytes[0] === LINE_FEED && tail.endsWith("\n")) count += 1;
      let end = bytes.indexOf(EVENT_END);
      while (end !== -1) {
        count += 1;
        end = bytes.indexOf(EVENT_END, end + (count > SHORT_EVENTS ? LONG_EVENT_BYTES : 1));
      }
      const last = bytes.toString("latin1", Math.max(bytes.length - TAIL_BYTES, 0));
      tail = last.length < TAIL_BYTES ? (tail + last).slice(-TAIL_BYTES) : last;
    },
    expect: (expected: number): void => {
      if (count !== expected || !SUCCEEDED.test(tail))
        throw new Error(`The stream had ${count} events in place of ${expected}, at last: ${tail}`);
    },
    elapsedMs: () => lastMs - firstLineMs,
  };
}
