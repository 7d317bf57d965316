import { describe, expect, test } from "bun:test";
import fc from "fast-check";

import { compareEntryIds, type EntryId, type LogEntry } from "../../src/jobs/log-entry.ts";
import { EntryRing } from "../../src/logs/ring.ts";

const printed = (epoch: number, seq: number, size: number): LogEntry => ({
  epoch,
  seq,
  kind: "frames",
  frames: [{ stream: "stdout", bytes: new Uint8Array(size) }],
});

const idsOf = (entries: readonly LogEntry[]) => entries.map(({ epoch, seq }) => [epoch, seq]);

describe("a ring of log entries", () => {
  test("covers what lies between its start and its end, also before the first entry comes", () => {
    const ring = new EntryRing({ epoch: 5, seq: 3 }, 1_000);
    expect(ring.startsAfter({ epoch: 5, seq: 2 })).toBe(true);
    expect(ring.startsAfter({ epoch: 5, seq: 3 })).toBe(false);
    expect(ring.endsBefore({ epoch: 5, seq: 4 })).toBe(true);
    ring.push([printed(5, 3, 10), printed(5, 4, 10)]);
    expect(ring.end).toEqual({ epoch: 5, seq: 5 });
    expect(ring.endsBefore({ epoch: 5, seq: 5 })).toBe(false);
    expect(ring.find({ epoch: 5, seq: 4 })).toMatchObject({ seq: 4 });
    expect(ring.find({ epoch: 5, seq: 5 })).toBeNull();
  });

  test("an attempt that follows another belongs to the same stretch", () => {
    const ring = new EntryRing({ epoch: 5, seq: 0 }, 10_000);
    ring.push([{ epoch: 5, seq: 0, kind: "attempt", attempt: 1, reason: null }, printed(5, 1, 3)]);
    ring.push([{ epoch: 9, seq: 0, kind: "attempt", attempt: 2, reason: "worker_lost" }]);
    expect(idsOf(ring.page({ epoch: 5, seq: 2 }, 100))).toEqual([[9, 0]]);
  });

  test("a log of single characters is charged for more than its characters", () => {
    const ring = new EntryRing({ epoch: 1, seq: 0 }, 64 * 1024);
    for (let seq = 0; seq < 64 * 1024; seq += 1) ring.push([printed(1, seq, 1)]);
    expect(ring.page({ epoch: 1, seq: 0 }, 64 * 1024).length).toBeLessThan(1_000);
  });

  test("begun anew it has nothing and goes on from there", () => {
    const ring = new EntryRing({ epoch: 1, seq: 0 }, 1_000);
    ring.push([printed(1, 0, 10)]);
    ring.restart({ epoch: 1, seq: 7 });
    expect(ring.startsAfter({ epoch: 1, seq: 6 })).toBe(true);
    expect(ring.page({ epoch: 1, seq: 7 }, 100)).toEqual([]);
    ring.push([printed(1, 7, 10)]);
    expect(idsOf(ring.page({ epoch: 1, seq: 7 }, 100))).toEqual([[1, 7]]);
  });

  test("pages are what the log holds there, without a gap, for every position that is covered", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ size: fc.nat(400), isAttempt: fc.boolean() }), { maxLength: 60 }),
        fc.integer({ min: 200, max: 3_000 }),
        fc.integer({ min: 1, max: 800 }),
        (steps, maxBytes, pageBytes) => {
          const log: LogEntry[] = [];
          let id: EntryId = { epoch: 1, seq: 0 };
          const ring = new EntryRing(id, maxBytes);
          for (const { size, isAttempt } of steps) {
            if (isAttempt) id = { epoch: id.epoch + 2, seq: 0 };
            const entry = printed(id.epoch, id.seq, size);
            log.push(entry);
            ring.push([entry]);
            id = { epoch: id.epoch, seq: id.seq + 1 };
          }
          for (const from of log) {
            if (ring.startsAfter(from)) continue;
            const page = ring.page(from, pageBytes);
            const rest = log.filter((entry) => compareEntryIds(entry, from) >= 0);
            expect(page.length).toBeGreaterThan(0);
            expect(page).toEqual(rest.slice(0, page.length));
          }
        },
      ),
    );
  });
});
