import { expect } from "bun:test";

import {
  attempts,
  bash,
  type Ended,
  printedJust,
  python,
  resultsOf,
  type Theme,
} from "./hostile-program.ts";

const MIB = 1024 * 1024;
const DISK_LIMIT = { status: "failed", reason: "disk_limit" };
const LIMITS = { disk_mb: 8 };

const isDiskLimit = (ended: Ended) => {
  expect(ended).toMatchObject(DISK_LIMIT);
  const kept = ended.artifacts.reduce((sum, { size }) => sum + size, 0);
  expect(kept).toBeLessThanOrEqual(LIMITS.disk_mb * MIB);
};

const fillWith = (directory: string) => `
import os
for n in range(1_000_000):
    with open(f"${directory}/{n}", "wb", buffering=0) as file:
        if file.write(b"x" * (1 << 20)) < 1 << 20: file.write(b"x" * (1 << 20))
`;

const countInto = (directory: string) => `
import os
for n in range(100_000_000): os.close(os.open(f"${directory}/{n}", os.O_CREAT))
`;

export const disk: Theme = {
  title: "Disk",
  entries: [
    python({
      name: "/work filled with bytes",
      tries: "Writes file after file until the working directory is full.",
      safeOutcome: "`disk_mb` is the sum of all files: the job failed with `disk_limit`.",
      source: fillWith("/work"),
      spec: { limits: LIMITS },
      expect: isDiskLimit,
    }),
    python({
      name: "/tmp filled with bytes",
      tries: "Writes file after file until /tmp is full.",
      safeOutcome: "The job failed with `disk_limit`.",
      source: fillWith("/tmp"),
      spec: { limits: LIMITS },
      expect: isDiskLimit,
    }),
    bash({
      name: "one file without end",
      tries: "Writes one file that never ends.",
      safeOutcome: "The job failed with `disk_limit`.",
      source: "exec head -c 1000000000 /dev/zero > big",
      spec: { limits: LIMITS },
      expect: isDiskLimit,
    }),
    python({
      name: "/work filled with empty files",
      tries: "Makes files without a byte in them, which cost memory all the same.",
      safeOutcome: "Files are counted too: the job was ended with `disk_limit`.",
      source: countInto("/work"),
      spec: { limits: LIMITS },
      expect: isDiskLimit,
    }),
    python({
      name: "/tmp filled with empty files",
      tries: "Makes files without a byte in them in /tmp.",
      safeOutcome: "Files are counted there as well: the job was ended with `disk_limit`.",
      source: countInto("/tmp"),
      spec: { limits: LIMITS },
      expect: isDiskLimit,
    }),
    python({
      name: "/dev/shm filled with empty files",
      tries: "Makes files without a byte in them in /dev/shm.",
      safeOutcome: "They cannot be made without bound: the job was ended.",
      source: countInto("/dev/shm"),
      spec: { timeout_sec: 20, limits: LIMITS },
      expect(ended) {
        expect(ended.status).toBe("failed");
        expect(["disk_limit", "memory_limit"]).toContain(ended.reason!);
      },
    }),
    python({
      name: "bytes hidden in extended attributes",
      tries: "Hides 64 MiB in attributes of files, which no file size shows.",
      safeOutcome: "Refused, or the job was ended.",
      source: `
import os
hidden = 0
try:
    for n in range(1024):
        open(f"/tmp/{n}", "w").close()
        os.setxattr(f"/tmp/{n}", "user.hidden", b"x" * 65_536)
        hidden += 1
except OSError: pass
print("hidden", hidden // 16)
`,
      spec: { limits: LIMITS },
      expect(ended) {
        if (ended.status === "failed")
          expect(["disk_limit", "memory_limit"]).toContain(ended.reason!);
        else expect(Number(/^hidden (\d+)\n$/.exec(ended.printed)?.[1])).toBeLessThanOrEqual(8);
      },
    }),
    python({
      name: "a full disk that is minded",
      tries: "Fills its disk, catches the error and cleans up.",
      safeOutcome: "The job succeeded: meeting a limit is no failure by itself.",
      source: `
import os
names = []
try:
    for n in range(100):
        names.append(str(n))
        with open(names[-1], "wb", buffering=0) as file:
            if file.write(b"x" * (1 << 20)) < 1 << 20: file.write(b"x" * (1 << 20))
except OSError as error: print(error.errno)
for name in names: os.unlink(name)
`,
      spec: { limits: LIMITS },
      expect(ended, world) {
        expect(ended.artifacts).toEqual([]);
        return printedJust("28\n")(ended, world);
      },
    }),
    python({
      name: "files that are deleted but open",
      tries: "Fills the disk with files that no listing shows.",
      safeOutcome: "They count as long as they are open, and go with the job.",
      source: `
import os
files, written = [], 0
try:
    for n in range(64):
        files.append(open("gone", "wb", buffering=0))
        os.unlink("gone")
        while files[-1].write(b"x" * (1 << 20)) == 1 << 20:
            written += 1
            if written % 4 == 0: break
except OSError as error: print(error.errno, written <= 8)
`,
      spec: { limits: LIMITS },
      expect(ended, world) {
        expect(ended.artifacts).toEqual([]);
        return printedJust("28 True\n")(ended, world);
      },
    }),
    python({
      name: "a sparse file of a terabyte",
      tries: "Makes a file that says it is huge, and one that fills the disk limit with holes.",
      safeOutcome: "The huge one is refused; what is kept is bounded by its size, not its blocks.",
      source: `
for name, size in (("huge", 1 << 40), ("first", 6 << 20), ("second", 6 << 20)):
    try:
        with open(name, "w") as file: file.truncate(size)
        print("made")
    except OSError: print("refused")
`,
      spec: { limits: LIMITS },
      expect(ended) {
        expect(ended).toMatchObject({ status: "succeeded", printed: "refused\nmade\nmade\n" });
        const kept = ended.artifacts.reduce((sum, { size }) => sum + size, 0);
        expect(kept).toBeGreaterThan(0);
        expect(kept).toBeLessThanOrEqual(LIMITS.disk_mb * MIB);
        expect(ended.warnings.join()).toContain("not kept");
      },
    }),
    attempts({
      name: "files outside of its directories",
      tries: "Writes to /, /usr, /etc, /dev and /run.",
      safeOutcome: "Everything but /work, /tmp and /dev/shm is read-only.",
      source: `
for path in ("/x", "/usr/x", "/usr/bin/x", "/etc/x", "/etc/passwd", "/etc/ld.so.preload", "/dev/x", "/run/x"):
    attempt(path, lambda: os.close(os.open(path, os.O_CREAT | os.O_WRONLY)))
`,
      expect(ended) {
        const results = Object.values(resultsOf(ended));
        expect(results).toHaveLength(8);
        // A file of another user is refused for that before it is for its file system.
        for (const result of results) expect(["EROFS", "EACCES"]).toContain(result);
      },
    }),
  ],
};
