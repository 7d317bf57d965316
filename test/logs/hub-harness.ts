import { expect } from "bun:test";

import { compareEntryIds, type EntryId, type LogEntry } from "../../src/jobs/log-entry.ts";
import type { HubStore, LogHub, LogReader } from "../../src/logs/hub.ts";
import type { LeaseKey, Store } from "../../src/store/store.ts";
import { EMPTY_LOG, SUCCEEDED } from "../contract/store-harness.ts";
import { overridden } from "../support/overridden.ts";

export const NEVER = new AbortController().signal;
export const NEVER_MS = 1_000_000;

/** The same store, and what is asked of it. */
export function counted(store: Store) {
  const counts = { reads: 0, entries: 0, gets: 0, waits: 0, pendingWaits: 0 };
  const counting: HubStore = overridden<Store>(store, {
    async readLog(request) {
      counts.reads += 1;
      const entries = await store.readLog(request);
      counts.entries += entries.length;
      return entries;
    },
    get(id) {
      counts.gets += 1;
      return store.get(id);
    },
    async waitForEntries(request, signal) {
      counts.waits += 1;
      counts.pendingWaits += 1;
      const entry = await store.waitForEntries(request, signal);
      counts.pendingWaits -= 1;
      if (entry !== null) counts.entries += 1;
      return entry;
    },
  });
  return { store: counting, counts };
}

export const idsOf = (entries: readonly LogEntry[]) =>
  entries.map(({ epoch, seq }) => `${epoch}-${seq}`);

/** Reads entries, in order, until the last that came is of this id or kind. */
export async function readUntil(
  reader: LogReader,
  from: EntryId,
  isLast: (entry: LogEntry) => boolean,
): Promise<LogEntry[]> {
  const all: LogEntry[] = [];
  let position = from;
  for (;;) {
    const entries = await reader.next(position, NEVER_MS, NEVER);
    if (entries === "gone") throw new Error(`Gone after ${idsOf(all).join(" ")}`);
    all.push(...entries);
    const last = all.at(-1);
    if (last === undefined) continue;
    position = { epoch: last.epoch, seq: last.seq + 1 };
    if (isLast(last)) return all;
  }
}

const isEnd = (entry: LogEntry) => entry.kind === "end";
export const isEntry = (id: EntryId) => (entry: LogEntry) => compareEntryIds(entry, id) === 0;

export async function readToEnd(hub: LogHub, id: string, from: EntryId): Promise<LogEntry[]> {
  const reader = hub.open(id);
  const all = await readUntil(reader, from, isEnd);
  reader.close();
  return all;
}

export async function finish(store: Store, lease: LeaseKey, lastSeq: number): Promise<void> {
  const answer = await store.finish({ ...lease, lastSeq, outcome: SUCCEEDED, log: EMPTY_LOG });
  expect(answer.kind).toBe("finished");
}
