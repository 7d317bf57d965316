/*
 * Buffers that streams hand out are garbage a moment later. A young collection frees them, but not those that lived
 * through an asynchronous write: they wait for a full one, which comes only once the heap has grown by half, and a
 * 500 MB upload then peaks 100 MB higher than it needs to. So whoever streams files counts the bytes here.
 */

/** A full collection of this service's heap takes about 7 ms; once per so many bytes that is 1 % of a fast upload. */
const COLLECT_EVERY_BYTES = 32 * 1024 * 1024;

let uncollectedBytes = 0;

/** Notes that buffers of this size have been streamed, by anybody in this process; now and then frees all that are done. */
export function countStreamedBytes(byteLength: number): void {
  uncollectedBytes += byteLength;
  if (uncollectedBytes < COLLECT_EVERY_BYTES) return;
  uncollectedBytes = 0;
  // Only the synchronous kind helps: the other one is put off for as long as the stream keeps the loop busy.
  Bun.gc(true);
}
