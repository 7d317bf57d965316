/** What one run may use. Every number is enforced by the sandbox or by the reader of its output, or the job is refused. */
export interface Limits {
  readonly memoryBytes: number;
  readonly cpuSec: number;
  readonly processes: number;
  readonly diskBytes: number;
  readonly outputBytes: number;
}

export const MIB = 1024 * 1024;

/**
 * What a job's disk gives out at a time: a page of memory, since it is a tmpfs (filesystems/tmpfs.rst in the kernel's sources).
 * An empty file and a directory take none.
 */
const DISK_PAGE_BYTES = 4096;

/** What files of these sizes take of a job's disk, in bytes. */
export function diskBytesOf(sizesBytes: readonly number[]): number {
  const pages = sizesBytes.reduce((sum, size) => sum + Math.ceil(size / DISK_PAGE_BYTES), 0);
  return pages * DISK_PAGE_BYTES;
}

/** A default and a ceiling, in the unit of the spec's field of that name. */
export interface Bound {
  readonly default: number;
  readonly max: number;
}

/** The bounds that this server's configuration sets on a spec. */
export interface SpecBounds {
  readonly timeoutSec: Bound;
  readonly memoryMb: Bound;
  readonly cpuSec: Bound;
  readonly processes: Bound;
  readonly diskMb: Bound;
  readonly outputMb: Bound;
}
