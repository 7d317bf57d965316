import { expect } from "bun:test";

import {
  bash,
  type Ended,
  javascript,
  noOom,
  python,
  type Theme,
  type World,
} from "./hostile-program.ts";

const MIB = 1024 * 1024;
const MEMORY_LIMIT = { status: "failed", reason: "memory_limit", oom: true };
const LIMITS = { memory_mb: 64 };
/** What the cgroup allows on top, for the supervisor (sandbox/cgroup-meter.ts). */
const SUPERVISOR_MB = 16;

/** With a cgroup the kernel ends it, and counts; without, a process may meet its own limit first and fail by itself. */
function ranOutOfMemory(ended: Ended, { hasCgroup }: World): void {
  if (hasCgroup || ended.reason === "memory_limit") expect(ended).toMatchObject(MEMORY_LIMIT);
  else {
    expect(ended).toMatchObject({ status: "failed", oom: null });
    expect(["exit_code", "signal"]).toContain(ended.reason!);
  }
  expectPeak(ended, hasCgroup);
}

/** Peak memory is the cgroup's; nothing else measures a whole job. */
function expectPeak({ usage }: Ended, hasCgroup: boolean): void {
  if (!hasCgroup) {
    expect(usage!.peak_memory_bytes).toBeNull();
    return;
  }
  expect(typeof usage!.peak_memory_bytes).toBe("number");
  expect(usage!.peak_memory_bytes).toBeGreaterThan(0);
  expect(usage!.peak_memory_bytes).toBeLessThanOrEqual((LIMITS.memory_mb + SUPERVISOR_MB) * MIB);
}

/** More than all of it was put where no process maps it: only an end by force, or a refusal, is safe. */
function tookNoMoreThan(megabytes: number) {
  return (ended: Ended, world: World) => {
    const taken = Number(/took (\d+)/.exec(ended.printed)?.[1] ?? 0);
    expect(taken).toBeLessThanOrEqual(megabytes);
    if (ended.status !== "succeeded") expect(ended).toMatchObject(MEMORY_LIMIT);
    expectPeak(ended, world.hasCgroup);
  };
}

export const memory: Theme = {
  title: "Memory",
  entries: [
    python({
      name: "memory bomb in one process",
      tries: "Takes memory until there is no more.",
      safeOutcome:
        "The job failed with `memory_limit` (or, without a cgroup, at its own limit); no neighbour noticed.",
      source: `
blocks = []
while True: blocks.append(b"x" * (4 << 20))
`,
      spec: { limits: LIMITS },
      expect: ranOutOfMemory,
    }),
    python({
      name: "memory bomb in twenty processes",
      tries: "Takes memory in twenty processes, each far below the limit of one.",
      safeOutcome: "Memory is the job's as a whole: it failed with `memory_limit`.",
      source: `
import os, time
for _ in range(20):
    if os.fork() == 0:
        block = b"x" * (16 << 20)
        time.sleep(60)
        os._exit(0)
for _ in range(20):
    if os.wait()[1] != 0: raise SystemExit(1)
`,
      spec: { timeout_sec: 8, limits: LIMITS },
      expect(ended, { hasCgroup }) {
        expect(ended).toMatchObject(MEMORY_LIMIT);
        expectPeak(ended, hasCgroup);
      },
    }),
    python({
      name: "a child killed for its memory, hidden",
      tries: "Lets a child run out of memory, and ends well itself.",
      safeOutcome: "The program decides how it ended; `oom` says what happened beside it.",
      source: `
import os
pid = os.fork()
if pid == 0:
    blocks = []
    while True: blocks.append(b"x" * (4 << 20))
print("child ended well", os.waitpid(pid, 0)[1] == 0)
`,
      spec: { limits: LIMITS },
      expect(ended, { hasCgroup }) {
        // A cgroup v2 may end the whole group; a poll may see the sum first.
        if (ended.reason === "memory_limit") {
          expect(ended).toMatchObject(MEMORY_LIMIT);
          return;
        }
        expect(ended).toMatchObject({ status: "succeeded", oom: hasCgroup ? true : null });
        expect(ended.printed).toEndWith("child ended well False\n");
      },
    }),
    python({
      name: "a bomb of compressed bytes",
      tries: "Unpacks 512 MiB from the 0.5 MiB that they were packed into.",
      safeOutcome: "Ended as any other use of too much memory.",
      source: `
import zlib
packer = zlib.compressobj(9)
packed = b"".join(packer.compress(b"\\0" * (1 << 20)) for _ in range(512)) + packer.flush()
unpacked = zlib.decompress(packed)
`,
      // The packing takes seconds of CPU time.
      spec: { limits: LIMITS, timeout_sec: 60 },
      expect: ranOutOfMemory,
    }),
    javascript({
      name: "memory bomb in node",
      tries: "Fills the heap of a runtime whose address space cannot be limited.",
      safeOutcome: "Ended as any other use of too much memory.",
      source: "const all = []; for (;;) all.push(new Array(1 << 16).fill(all.length + 0.5));",
      spec: { runtime: "node", limits: LIMITS },
      expect: ranOutOfMemory,
    }),
    python({
      name: "memory shared between processes",
      tries: "Takes memory in shared mappings, which fork hands on.",
      safeOutcome: "Ended as any other use of too much memory.",
      source: `
import mmap
maps = []
while True:
    maps.append(mmap.mmap(-1, 8 << 20))
    maps[-1].write(b"x" * (8 << 20))
`,
      spec: { limits: LIMITS },
      expect: ranOutOfMemory,
    }),
    python({
      name: "memory in files without a name",
      tries: "Puts 480 MiB into memory files (memfd_create), which no process maps.",
      safeOutcome: "Refused, or ended with `memory_limit`.",
      source: `
import os, time
block, files, taken = b"x" * (1 << 20), [], 0
try:
    for _ in range(60):
        files.append(os.memfd_create("hidden"))
        for _ in range(8):
            os.write(files[-1], block)
            taken += 1
except OSError: pass
time.sleep(0.5)
print("took", taken)
`,
      spec: { limits: LIMITS },
      expect: tookNoMoreThan(64),
    }),
    python({
      name: "memory in System V segments",
      tries: "Fills segments of shared memory and lets go of each, so that no process maps them.",
      safeOutcome: "Refused, or ended with `memory_limit`.",
      source: `
import ctypes, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
taken = 0
for _ in range(60):
    segment = libc.shmget(0, 8 << 20, 0o1600)
    if segment < 0: break
    address = libc.shmat(segment, None, 0)
    if address in (None, ctypes.c_void_p(-1).value): break
    ctypes.memset(address, 120, 8 << 20)
    libc.shmdt(ctypes.c_void_p(address))
    taken += 8
time.sleep(0.5)
print("took", taken)
`,
      spec: { limits: LIMITS },
      expect: tookNoMoreThan(64),
    }),
    python({
      name: "memory in message queues",
      tries: "Fills System V message queues, which belong to no process.",
      safeOutcome: "Refused, or ended with `memory_limit`.",
      source: `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
message = ctypes.create_string_buffer(8_200)
message[0] = b"\\1"
taken = 0
for _ in range(8_000):
    queue = libc.msgget(0, 0o1600)
    if queue < 0: break
    for _ in range(2):
        if libc.msgsnd(queue, message, 8_180, 0o4000) == 0: taken += 8_180
print("took", taken >> 20)
`,
      spec: { limits: LIMITS },
      expect: tookNoMoreThan(64),
    }),
    python({
      name: "memory in sockets",
      tries: "Fills the buffers of sockets that nobody reads.",
      safeOutcome:
        "With a cgroup `memory_limit`; without, the number of descriptors is the only bound.",
      source: `
import socket
taken, sockets = 0, []
try:
    while True:
        sockets.append(socket.socketpair())
        for each in sockets[-1]:
            each.setblocking(False)
            try:
                while True: taken += each.send(b"x" * 32_768)
            except BlockingIOError: pass
except OSError: pass
print("took", taken >> 20)
`,
      spec: { limits: LIMITS },
      expect: (ended, world) => tookNoMoreThan(world.hasCgroup ? 64 : 512)(ended, world),
    }),
    python({
      name: "memory in /dev/shm",
      tries: "Fills /dev/shm, which is memory as well.",
      safeOutcome: "It has a size of its own, and its bytes count: ENOSPC or `memory_limit`.",
      source: `
import os, time
taken = 0
try:
    for n in range(256):
        with open(f"/dev/shm/{n}", "wb", buffering=0) as file: file.write(b"x" * (1 << 20))
        taken += 1
except OSError: print("no space left")
time.sleep(0.5)
print("took", taken)
`,
      spec: { limits: LIMITS },
      expect: tookNoMoreThan(64),
    }),
    python({
      name: "memory in pipes",
      tries: "Fills pipes of a megabyte each that nobody reads.",
      safeOutcome: "The kernel gives one user few large pipes, and a cgroup counts them.",
      source: `
import fcntl, os
taken, ends = 0, []
try:
    for _ in range(400):
        ends.append(os.pipe())
        try: fcntl.fcntl(ends[-1][1], fcntl.F_SETPIPE_SZ, 1 << 20)
        except OSError: pass
        os.set_blocking(ends[-1][1], False)
        taken += os.write(ends[-1][1], b"x" * (1 << 20))
except OSError: pass
print("took", taken >> 20)
`,
      spec: { limits: LIMITS },
      // 64 MiB is the kernel's pipe-user-pages-soft; beyond it each pipe still gets two pages.
      expect: tookNoMoreThan(80),
    }),
    bash({
      name: "recursion without end",
      tries: "Calls itself until the stack is used up.",
      safeOutcome: "Its own crash, told as the signal that it was.",
      source: "ulimit -s 512; deeper() { deeper; }; echo falling; deeper",
      expect(ended, world) {
        expect(ended).toMatchObject({
          status: "failed",
          reason: "signal",
          signal: "SIGSEGV",
          oom: noOom(world),
        });
        expect(ended.printed).toStartWith("falling\n");
      },
    }),
  ],
};
