import { dlopen, FFIType, ptr } from "bun:ffi";

/*
 * The machine's own clock, for comparing moments of two processes. Bun tells the time since its start, and the wall clock
 * in whole milliseconds.
 */

/** linux/time.h; what Python calls time.monotonic_ns. */
const CLOCK_MONOTONIC = 1;

const { symbols } = dlopen("libc.so.6", {
  clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
});

/** struct timespec: seconds and nanoseconds, of 64 bits each on a 64-bit machine. */
const timespec = new BigInt64Array(2);
const timespecAddress = ptr(timespec);

/** Milliseconds, with fractions, since some moment in the past that is the same for all processes. */
export function monotonicMs(): number {
  symbols.clock_gettime(CLOCK_MONOTONIC, timespecAddress);
  return Number(timespec[0]) * 1e3 + Number(timespec[1]) / 1e6;
}
