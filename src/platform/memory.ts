/*
 * Buffers that streams hand out are garbage a moment later. A young collection frees them, but not those that lived
 * through an asynchronous write: they wait for a full one, which comes only once the heap has grown by half, and a
 * 500 MB upload then peaks 100 MB higher than it needs to. So whoever streams counts the bytes here: files as often as they
 * are read or written (files/local.ts), logs as often as they are in memory on their way, from a program to the store (COPIES
 * in logs/collect.ts) and to each client (COPIES in api/logs.ts).
 */

/**
 * A full collection of this service's heap takes about 7 ms. Once per so many bytes that is 1 % of a fast upload; with a log
 * that is printed and followed at 60 MB/s, of which seven times as much is counted, it is an eighth of a core, and 5 % more
 * with each further client. For that the service grows by 15 MiB less than with twice as much.
 */
const COLLECT_EVERY_BYTES = 24 * 1024 * 1024;

let uncollectedBytes = 0;

/** Notes that buffers of this size have been streamed, by anybody in this process; now and then frees all that are done. */
export function countStreamedBytes(byteLength: number): void {
  uncollectedBytes += byteLength;
  if (uncollectedBytes < COLLECT_EVERY_BYTES) return;
  uncollectedBytes = 0;
  // Only the synchronous kind helps: the other one is put off for as long as the stream keeps the loop busy.
  Bun.gc(true);
}
