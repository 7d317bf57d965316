import { describe, expect, test } from "bun:test";
import fc from "fast-check";

import type { LogSize } from "../../src/jobs/job.ts";
import type { LogBody, StreamName } from "../../src/jobs/log-entry.ts";
import { type CollectorAnswer, LogCollector } from "../../src/logs/collect.ts";

interface Stored {
  readonly seq: number;
  readonly body: LogBody;
  readonly log: LogSize;
}

/** A log that takes entries as a store does: in order, each once. */
class MemoryLog {
  readonly entries: Stored[] = [];
  answer: (seq: number) => CollectorAnswer | Promise<CollectorAnswer> = () => ({ kind: "stored" });
  fencedCount = 0;

  collector(outputBytes = Number.MAX_SAFE_INTEGER, keepMs = 5_000): LogCollector {
    return new LogCollector({
      outputBytes,
      keepMs,
      onFenced: () => this.fencedCount++,
      append: async (seq, body, log) => {
        const answer = await this.answer(seq);
        if (answer.kind === "stored" && seq === this.entries.length + 1)
          this.entries.push({ seq, body, log });
        return answer;
      },
    });
  }

  bytes(stream?: StreamName): Buffer {
    const frames = this.entries.flatMap(({ body }) => (body.kind === "frames" ? body.frames : []));
    return Buffer.concat(
      frames.filter((f) => stream === undefined || f.stream === stream).map((f) => f.bytes),
    );
  }
}

const writes = fc.array(
  fc.record({
    stream: fc.constantFrom<StreamName[]>("stdout", "stderr"),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }),
  }),
  { maxLength: 40 },
);

const expectedOf = (all: readonly { stream: StreamName; bytes: Uint8Array }[], stream: string) =>
  Buffer.concat(all.filter((w) => w.stream === stream).map((w) => w.bytes));

describe("collecting a log", () => {
  test("each stream arrives byte for byte, whatever the bytes and the chunks", async () => {
    await fc.assert(
      fc.asyncProperty(writes, async (all) => {
        const log = new MemoryLog();
        const collector = log.collector();
        for (const { stream, bytes } of all) await collector.write(stream, bytes);
        await collector.close();
        expect(log.bytes("stdout")).toEqual(expectedOf(all, "stdout"));
        expect(log.bytes("stderr")).toEqual(expectedOf(all, "stderr"));
        expect(collector.size).toEqual({ bytes: log.bytes().length, droppedBytes: 0 });
      }),
      { numRuns: 300 },
    );
  });

  test("a character split at every offset between two reads is stored whole", async () => {
    const emoji = Buffer.from("😀");
    for (let cut = 1; cut < 4; cut++) {
      const log = new MemoryLog();
      const collector = log.collector();
      await collector.write("stdout", emoji.subarray(0, cut));
      await collector.write("stderr", Buffer.from("!"));
      await collector.write("stdout", emoji.subarray(cut));
      await collector.close();
      const frames = log.entries.flatMap(({ body }) =>
        body.kind === "frames" ? body.frames.map((f) => `${f.stream}:${f.bytes.length}`) : [],
      );
      expect(frames.toSorted()).toEqual(["stderr:1", "stdout:4"]);
    }
  });

  test("an entry is at most 64 KiB, and its characters are whole", async () => {
    const log = new MemoryLog();
    const collector = log.collector();
    await collector.write("stdout", Buffer.from(`x${"é".repeat(300_000)}`));
    await collector.close();
    expect(log.entries.length).toBeGreaterThan(8);
    for (const { body } of log.entries) {
      const [frame] = body.kind === "frames" ? body.frames : [];
      expect(frame?.bytes.length ?? 0).toBeLessThanOrEqual(65_536);
      expect(Buffer.from(frame?.bytes ?? []).toString()).not.toContain("\ufffd");
    }
  });

  test("single bytes of both streams in turn make entries of a thousand pieces, whatever the store's pace", async () => {
    const log = new MemoryLog();
    const stored = Promise.withResolvers<void>();
    log.answer = async () => {
      await stored.promise;
      return { kind: "stored" };
    };
    const collector = log.collector();
    let isWritten = false;
    const writing = (async () => {
      for (let index = 0; index < 5_000; index++)
        await collector.write(index % 2 === 0 ? "stdout" : "stderr", Buffer.from("x"));
      isWritten = true;
    })();
    // The program is held back meanwhile.
    for (let turn = 0; turn < 20_000; turn++) await Promise.resolve();
    expect(isWritten).toBe(false);
    stored.resolve();
    await writing;
    await collector.close();
    const counts = log.entries.map(({ body }) => (body.kind === "frames" ? body.frames.length : 0));
    expect(counts.reduce((sum, count) => sum + count)).toBe(5_000);
    expect(Math.max(...counts)).toBeLessThanOrEqual(1_000);
    expect(Math.max(...counts)).toBeGreaterThan(900);
  });

  test("past the cap the log stays a prefix, and the rest is counted and marked", async () => {
    const log = new MemoryLog();
    const collector = log.collector(10);
    await collector.write("stdout", Buffer.from("0123456789abc"));
    await collector.write("stderr", Buffer.from("more"));
    await collector.close();
    expect(log.bytes().toString()).toBe("0123456789");
    expect(collector.size).toEqual({ bytes: 10, droppedBytes: 7 });
    expect(log.entries.at(-1)?.body).toEqual({ kind: "gap", droppedBytes: 7 });
  });

  test("a store that is slower than the program holds the program back", async () => {
    const log = new MemoryLog();
    const gate = Promise.withResolvers<void>();
    log.answer = () => gate.promise.then(() => ({ kind: "stored" }) as const);
    const collector = log.collector();
    const MIB = 1024 * 1024;
    const chunk = new Uint8Array(64 * 1024).fill(0x61);
    let written = 0;
    const writing = (async () => {
      while (written < 4 * MIB) {
        await collector.write("stdout", chunk);
        written += chunk.length;
      }
    })();
    await Promise.resolve();
    for (let turn = 0; turn < 1000; turn++) await Promise.resolve();
    expect(written).toBeLessThanOrEqual(MIB + 2 * chunk.length);
    gate.resolve();
    await writing;
    await collector.close();
    expect(log.bytes().length).toBe(4 * MIB);
  });

  test("full entries are under way together, so that a store can commit them together", async () => {
    const log = new MemoryLog();
    let [underWay, most] = [0, 0];
    log.answer = async () => {
      most = Math.max(most, ++underWay);
      await new Promise(setImmediate);
      underWay--;
      return { kind: "stored" };
    };
    const collector = log.collector();
    const bytes = Buffer.from("0123456789abcdef".repeat(256 * 1024));
    for (let at = 0; at < bytes.length; at += 50_000)
      await collector.write("stdout", bytes.subarray(at, at + 50_000));
    await collector.close();
    expect(log.bytes().equals(bytes)).toBe(true);
    expect(most).toBe(8);
    // Small output waits for what is under way.
    most = 0;
    const small = log.collector();
    for (let count = 0; count < 100; count++) await small.write("stdout", Buffer.from("x"));
    await small.close();
    expect(most).toBeLessThanOrEqual(2);
  });

  test("entries that overtake one that is tried again are sent after it once more", async () => {
    const log = new MemoryLog();
    const tried = Promise.withResolvers<void>();
    log.answer = async (seq) => {
      if (seq === 2) await tried.promise;
      if (seq === 5) tried.resolve();
      const lastSeq = log.entries.length;
      return seq > lastSeq + 1 ? { kind: "behind", lastSeq } : { kind: "stored" };
    };
    const collector = log.collector();
    const bytes = Buffer.from("0123456789abcdef".repeat(40 * 1024));
    await collector.write("stdout", bytes);
    await collector.close();
    expect(log.bytes().equals(bytes)).toBe(true);
    expect(log.entries.map(({ seq }) => seq)).toEqual(log.entries.map((_, index) => index + 1));
    expect(log.fencedCount).toBe(0);
  });

  test("where the store has no room, what was sent after that is dropped as well", async () => {
    const log = new MemoryLog();
    let isRefused = false;
    log.answer = (seq) => {
      const lastSeq = log.entries.length;
      if (seq > lastSeq + 1) return { kind: "behind", lastSeq };
      if (seq !== 2 || isRefused) return { kind: "stored" };
      isRefused = true;
      return { kind: "refused" };
    };
    const collector = log.collector();
    const bytes = Buffer.alloc(640 * 1024, "x");
    await collector.write("stdout", bytes);
    await collector.close();
    const droppedBytes = bytes.length - 64 * 1024;
    expect(log.bytes().length).toBe(64 * 1024);
    expect(collector.size).toEqual({ bytes: 64 * 1024, droppedBytes });
    expect(log.entries.slice(1)).toMatchObject([{ seq: 2, body: { kind: "gap", droppedBytes } }]);
    expect(log.fencedCount).toBe(0);
  });

  test("entries that the store has lost are sent again, in order", async () => {
    const log = new MemoryLog();
    const collector = log.collector();
    for (const line of ["one\n", "two\n", "three\n"]) {
      await collector.write("stdout", Buffer.from(line));
      await collector.close();
    }
    expect(log.entries.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    log.entries.length = 1;
    log.answer = (seq) => {
      const lastSeq = log.entries.length;
      return seq > lastSeq + 1 ? { kind: "behind", lastSeq } : { kind: "stored" };
    };
    await collector.write("stdout", Buffer.from("four\n"));
    await collector.close();
    expect(log.bytes().toString()).toBe("one\ntwo\nthree\nfour\n");
    expect(log.fencedCount).toBe(0);
  });

  test("a store that lost its tail before the end gets it again, if it is still remembered", async () => {
    const log = new MemoryLog();
    const collector = log.collector();
    await collector.write("stdout", Buffer.from("one\n"));
    await collector.close();
    await collector.write("stdout", Buffer.from("two\n"));
    await collector.close();
    expect(collector.lastSeq).toBe(2);
    log.entries.length = 1;
    expect(await collector.resendAfter(1)).toBe(true);
    expect(log.bytes().toString()).toBe("one\ntwo\n");
    expect(await collector.resendAfter(-1)).toBe(false);
  });

  test("of a store that loses nothing nothing is remembered", async () => {
    const log = new MemoryLog();
    const collector = log.collector(Number.MAX_SAFE_INTEGER, 0);
    await collector.write("stdout", Buffer.from("one\n"));
    await collector.close();
    expect([collector.spoolMemoryBytes, collector.lastSeq]).toEqual([0, 1]);
    expect(await collector.resendAfter(0)).toBe(false);
  });

  test("where the store has no room the log ends, the rest is counted, and the program goes on", async () => {
    const log = new MemoryLog();
    log.answer = (seq) => ({ kind: seq === 2 ? "refused" : "stored" });
    const collector = log.collector();
    await collector.write("stdout", Buffer.from("kept"));
    await collector.close();
    await collector.write("stdout", Buffer.from("refused"));
    await collector.close();
    await collector.write("stdout", Buffer.from("after that"));
    await collector.close();
    expect(log.bytes().toString()).toBe("kept");
    expect(collector.size).toEqual({ bytes: 4, droppedBytes: 17 });
    expect([collector.lastSeq, log.fencedCount]).toEqual([1, 0]);
    // No entry tells of it, so the end has to.
    expect(collector.isGapUnmarked).toBe(true);
  });

  test("a fenced collector takes nothing more, blocks nobody, and says so once", async () => {
    const log = new MemoryLog();
    log.answer = () => ({ kind: "fenced" });
    const collector = log.collector();
    await collector.write("stdout", Buffer.from("a"));
    await collector.close();
    await collector.write("stdout", new Uint8Array(8 * 1024 * 1024));
    await collector.close();
    expect(log.entries).toEqual([]);
    expect(log.fencedCount).toBe(1);
  });

  test("what append throws is what close rejects with", async () => {
    const log = new MemoryLog();
    log.answer = () => Promise.reject(new Error("the store is gone"));
    const collector = log.collector();
    await collector.write("stdout", Buffer.from("a"));
    await expect(collector.close()).rejects.toThrow("the store is gone");
    expect(log.fencedCount).toBe(1);
  });
});
