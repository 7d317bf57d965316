import { expect } from "bun:test";

import {
  bash,
  type Ended,
  printedJust,
  python,
  type Theme,
  WALL_LIMIT,
} from "./hostile-program.ts";

const MIB = 1024 * 1024;
const ONE_MIB_LOG = { output_mb: 1 };

const logIsFull = (ended: Ended) => {
  expect(ended.log.bytes).toBe(MIB);
  expect(ended.log.dropped_bytes).toBeGreaterThan(0);
};

/** What the job printed, as its stream carries it. */
async function streamOf(url: string, { id }: Ended): Promise<string> {
  return (await fetch(`${url}/jobs/${id}/logs/stream`)).text();
}

export const output: Theme = {
  title: "Output",
  entries: [
    bash({
      name: "yes",
      tries: "Prints lines as fast as it can, until it is stopped.",
      safeOutcome:
        "The log keeps its first `output_mb`, the rest is counted and dropped; the service's memory stays flat.",
      source: "exec yes",
      spec: { timeout_sec: 1, limits: ONE_MIB_LOG },
      expect(ended) {
        expect(ended).toMatchObject(WALL_LIMIT);
        logIsFull(ended);
        expect(ended.printed).toBe("y\n".repeat(MIB / 2));
      },
    }),
    bash({
      name: "cat /dev/zero",
      tries: "Prints NUL bytes without a line's end, as fast as it can.",
      safeOutcome: "Kept, counted and dropped in the same way.",
      source: "exec cat /dev/zero",
      spec: { timeout_sec: 1, limits: ONE_MIB_LOG },
      expect(ended) {
        expect(ended).toMatchObject(WALL_LIMIT);
        logIsFull(ended);
      },
    }),
    bash({
      name: "both outputs at once",
      tries: "Floods stdout and stderr from two processes.",
      safeOutcome: "`output_mb` is for both together; the run goes on to its own end.",
      source: "head -c 3000000 /dev/zero & head -c 3000000 /dev/zero >&2 & wait; exit 0",
      spec: { limits: ONE_MIB_LOG },
      expect(ended) {
        expect(ended).toMatchObject({ status: "succeeded", reason: null });
        expect(ended.log).toEqual({ bytes: MIB, dropped_bytes: 6_000_000 - MIB });
      },
    }),
    python({
      name: "one line of eight megabytes",
      tries: "Prints a line that does not end, to be held in memory by whoever waits for its end.",
      safeOutcome: "Cut at the limit; the stream ends as it should.",
      source: `
import sys
for _ in range(8): sys.stdout.write("x" * (1 << 20))
`,
      spec: { limits: ONE_MIB_LOG },
      async expect(ended, { url }) {
        expect(ended).toMatchObject({ status: "succeeded" });
        expect(ended.log).toEqual({ bytes: MIB, dropped_bytes: 7 * MIB });
        expect(await streamOf(url, ended)).toContain("\nevent: end\n");
      },
    }),
    python({
      name: "fifty thousand tiny writes",
      tries: "Prints two bytes at a time, each a write of its own.",
      safeOutcome: "Nothing is lost, and nothing slows down.",
      source: `
import os
for _ in range(50_000): os.write(1, b".\\n")
`,
      expect: printedJust(".\n".repeat(50_000)),
    }),
    python({
      name: "a stream's end, forged",
      tries: "Prints what the event stream's own end, ids and retries look like.",
      safeOutcome: "Each line arrives as data; there is one end, and it is ours.",
      source: `
print('hello\\n\\nevent: end\\nid: 999-9\\ndata: {"status":"succeeded"}\\n\\n')
print('x\\rretry: 1\\revent: end\\r\\rdata: {"status":"succeeded"}\\r\\r')
raise SystemExit(1)
`,
      async expect(ended, { url }) {
        const lines = (await streamOf(url, ended)).split("\n");
        expect(lines.filter((line) => line.startsWith("event: end"))).toHaveLength(1);
        expect(lines.filter((line) => line.startsWith("retry:"))).toEqual(["retry: 1500"]);
        expect(lines.some((line) => line.includes("\r"))).toBe(false);
        expect(lines).toContain("data: event: end");
        expect(lines.join("\n")).toContain("event: end\n");
        expect(lines.filter((line) => line.startsWith('data: {"status"'))).toEqual([
          expect.stringContaining('"failed"'),
        ]);
      },
    }),
    python({
      name: "a page as a log",
      tries: "Prints a script, terminal controls and bidi marks for whoever opens the log.",
      safeOutcome: "The log is the exact bytes, as plain text that no browser takes for more.",
      source: String.raw`
import sys
sys.stdout.buffer.write("<script>alert(1)</script>\x1b]0;owned\x07\x1b[2J\u202etxt\0\n".encode())
`,
      async expect(ended, world) {
        await printedJust("<script>alert(1)</script>\x1b]0;owned\x07\x1b[2J\u202etxt\0\n")(
          ended,
          world,
        );
        const { headers } = await fetch(`${world.url}/jobs/${ended.id}/logs`);
        expect(headers.get("content-type")).toBe("text/plain; charset=utf-8");
        expect(headers.get("x-content-type-options")).toBe("nosniff");
      },
    }),
    python({
      name: "bytes that are no text",
      tries: "Prints every byte there is, and halves of characters.",
      safeOutcome: "The log keeps them as they are; the stream stays valid UTF-8.",
      source: `
import sys
sys.stdout.buffer.write(bytes(range(256)) + b"\\n\\xf0\\x9f\\n\\xed\\xa0\\x80\\n")
`,
      async expect(ended, { url }) {
        const bytes = await (await fetch(`${url}/jobs/${ended.id}/logs`)).bytes();
        expect(Buffer.from(bytes)).toEqual(
          Buffer.concat([
            Uint8Array.from({ length: 256 }, (_, byte) => byte),
            Buffer.from([10, 0xf0, 0x9f, 10, 0xed, 0xa0, 0x80, 10]),
          ]),
        );
        const stream = await (await fetch(`${url}/jobs/${ended.id}/logs/stream`)).bytes();
        expect(() => new TextDecoder("utf-8", { fatal: true }).decode(stream)).not.toThrow();
      },
    }),
    bash({
      name: "a writer that goes on after the end",
      tries: "Leaves a process behind that floods the log.",
      safeOutcome: "The log ends with the job; nothing comes after it.",
      source: "(yes &) ; sleep 0.2; exit 0",
      async expect(ended, { url }) {
        expect(ended).toMatchObject({ status: "succeeded" });
        expect(ended.log.bytes).toBeGreaterThan(0);
        const later = await (await fetch(`${url}/jobs/${ended.id}/logs`)).bytes();
        expect(later).toHaveLength(ended.log.bytes);
      },
    }),
    python({
      name: "its own output, tampered with",
      tries: "Reads back, truncates, resizes and unblocks the pipe that it prints to.",
      safeOutcome: "It fools only itself: the job and its log end as they should.",
      source: `
import fcntl, os
os.set_blocking(1, False)
fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 4096)
try: os.ftruncate(1, 0)
except OSError: pass
thief = os.open("/proc/self/fd/1", os.O_RDONLY | os.O_NONBLOCK)
try: os.read(thief, 1 << 20)
except BlockingIOError: pass
os.set_blocking(2, True)
os.write(2, b"ended\\n")
`,
      expect(ended) {
        expect(ended).toMatchObject({ status: "succeeded" });
        expect(ended.printed).toEndWith("ended\n");
      },
    }),
    bash({
      name: "the operator's terminal",
      tries: "Writes to the terminals and the kernel log of the host.",
      safeOutcome: "There is no terminal of the host to write to.",
      source: `
for place in /dev/tty /dev/console /dev/kmsg /dev/tty0 /dev/pts/0; do
  (echo gotcha > $place) 2>/dev/null && echo "wrote to $place"
done
echo tried`,
      expect: printedJust("tried\n"),
    }),
  ],
};
