import { dlopen, FFIType, ptr } from "bun:ffi";
import { closeSync, writeSync } from "node:fs";

/*
 * Real pipes between this process and a child. Bun's own "pipe" stdio is a socketpair, which a program cannot reopen:
 * `echo x > /dev/stderr` answers ENXIO. No runtime API makes a pipe, so pipe2(2) is called through FFI.
 */

/** A pipe's two ends, both close-on-exec. Whoever holds one closes it. */
export interface Pipe {
  readonly readFd: number;
  readonly writeFd: number;
}

/** A read end as a stream with back-pressure: nothing is read ahead of what the consumer asked for (one chunk apart). */
export interface PipeReader {
  /** Ends when the last writer has closed its end. */
  readonly stream: ReadableStream<Uint8Array>;
  /**
   * Gives the fd back; a read that waits sees the end. Resolves once it is back. Idempotent; needed only where the stream
   * is not read to its end.
   */
  close(): Promise<void>;
}

/** O_CLOEXEC, the same number on x86_64 and aarch64 (asm-generic/fcntl.h). */
const O_CLOEXEC = 0o2000000;

/** linux/fcntl.h */
const F_SETPIPE_SZ = 1031;
/** Four times what a pipe holds by default: its writer need not wait while a reader takes its time to read more at once. */
const CAPACITY_BYTES = 256 * 1024;

/** glibc's name, then musl's. */
const C_LIBRARIES = ["libc.so.6", "libc.so"];

/** Shown in /proc/<pid>/fd. */
const FILE_NAME = Buffer.from("job-runner\0");
/** MFD_CLOEXEC (linux/memfd.h). */
const MFD_CLOEXEC = 1;

function loadLibrary() {
  const failures: unknown[] = [];
  for (const name of C_LIBRARIES) {
    try {
      return dlopen(name, {
        pipe2: { args: [FFIType.ptr, FFIType.i32], returns: FFIType.i32 },
        fcntl: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
        memfd_create: { args: [FFIType.cstring, FFIType.u32], returns: FFIType.i32 },
      }).symbols;
    } catch (error) {
      failures.push(error);
    }
  }
  throw new AggregateError(failures, "No C library with pipe2 and memfd_create was found");
}

let library: ReturnType<typeof loadLibrary> | undefined;

/** Makes a pipe. Throws when the process is out of file descriptors. */
export function openPipe(): Pipe {
  library ??= loadLibrary();
  const fds = new Int32Array(2);
  if (library.pipe2(ptr(fds), O_CLOEXEC) !== 0)
    throw new Error("pipe2 failed: no file descriptor is left");
  const [readFd, writeFd] = fds;
  if (readFd === undefined || writeFd === undefined)
    throw new Error("pipe2 gave no file descriptors");
  return { readFd, writeFd };
}

/**
 * A file without a name that holds `bytes`, to be read from its start; close-on-exec. The caller passes it on and closes
 * it. Not a pipe: one user's pipes share a budget, past which a new one holds 8 KiB, and the write would wait for a
 * reader that has not been started. Throws when the process is out of file descriptors.
 */
export function openFilledFile(bytes: Uint8Array): number {
  library ??= loadLibrary();
  const fd = library.memfd_create(FILE_NAME, MFD_CLOEXEC);
  if (fd < 0) throw new Error("memfd_create failed: no file descriptor is left");
  try {
    // At a position: the offset that the reader shares stays at the start.
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, at);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * Reads `readFd`, which it now owns. `Bun.file(fd).stream()` does the waiting but never closes the descriptor (200 jobs
 * would leak 200), and `new net.Socket({fd})` hangs on a pipe.
 */
export function readPipe(readFd: number): PipeReader {
  library ??= loadLibrary();
  // May fail: an unprivileged user's pipes share a budget. Then it holds what pipes hold anyway.
  library.fcntl(readFd, F_SETPIPE_SZ, CAPACITY_BYTES);
  const reader = Bun.file(readFd).stream().getReader();
  let open = true;
  const release = () => {
    if (!open) return;
    open = false;
    closeSync(readFd);
  };
  // Cancelling settles a read that waits; only then may the number go back to the system, where it is reused at once.
  const close = async () => {
    if (open) await reader.cancel().then(release, release);
  };
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) {
          release();
          controller.close();
        } else controller.enqueue(value);
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  );
  return { stream, close };
}
