import { constants, fstatSync, openSync, writeSync } from "node:fs";

/**
 * Gives a function that writes lines to an open file such as stderr, each before it returns, so that none is lost when
 * the process ends right after. It never throws and, with a pipe or terminal, never waits: a line that there is no room
 * for, or that nobody can read any more, is dropped, and the answer is false.
 */
export function openLineWriter(fd: number): (line: string) => boolean {
  const target = withoutWaiting(fd);
  let unwritten = Buffer.alloc(0);
  const push = () => {
    try {
      unwritten = unwritten.subarray(writeSync(target, unwritten));
    } catch {
      // EAGAIN: full; EPIPE: nobody reads; ENOSPC: no disk. There is no other place to say so.
    }
  };
  return (line) => {
    // A long line may have gone out in part: its rest goes first, so that no line begins in the middle of another.
    if (unwritten.length > 0) push();
    if (unwritten.length > 0) return false;
    unwritten = Buffer.from(`${line}\n`);
    const { length } = unwritten;
    push();
    if (unwritten.length < length) return true;
    unwritten = Buffer.alloc(0);
    return false;
  };
}

/**
 * The same pipe or terminal opened once more (proc(5), /proc/pid/fd): O_NONBLOCK set on the given one would hold for every
 * process that shares it, the operator's shell included. A file never makes wait and would get a second position; a
 * socket, or a pipe of another user, cannot be opened so: those are written to as they are.
 */
function withoutWaiting(fd: number): number {
  try {
    if (fstatSync(fd).isFile()) return fd;
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    return fd;
  }
}
