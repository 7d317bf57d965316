import { expect, test } from "bun:test";

import type { LogEntry } from "../../src/jobs/log-entry.ts";
import { readHeads } from "../../src/logs/heads.ts";
import type { Snapshot } from "../../src/logs/snapshot.ts";
import { frame } from "../contract/store-harness.ts";

/** A snapshot with a page for each list of frames; `read` counts those that were asked for. */
function snapshotOf(pages: readonly (readonly ReturnType<typeof frame>[])[]) {
  const counted = { read: 0 };
  const snapshot: Snapshot = {
    async *pages() {
      for (const [index, frames] of pages.entries()) {
        counted.read += 1;
        const entry: LogEntry = { epoch: 1, seq: index + 1, kind: "frames", frames };
        yield await Promise.resolve([entry]);
      }
    },
  };
  return { snapshot, counted };
}

test("each stream has a head of its own, and a short one is whole", async () => {
  const { snapshot } = snapshotOf([
    [frame("got", "installer")],
    [frame("built", "compiler")],
    [frame("out "), frame("err", "stderr")],
    [frame("put")],
  ]);
  expect(await readHeads(snapshot, 7)).toEqual({
    stdout: { text: "out put", isTruncated: false },
    stderr: { text: "err", isTruncated: false },
    compiler: { text: "built", isTruncated: false },
    installer: { text: "got", isTruncated: false },
  });
});

test("a head ends before a character that it would cut, and what is no UTF-8 is replaced", async () => {
  const { snapshot } = snapshotOf([[frame("aé"), frame("€uro")]]);
  expect((await readHeads(snapshot, 4)).stdout).toEqual({ text: "aé", isTruncated: true });
  const broken = { stream: "stdout", bytes: new Uint8Array([0x61, 0xff, 0xc3]) } as const;
  expect((await readHeads(snapshotOf([[broken]]).snapshot, 9)).stdout).toEqual({
    text: "a\ufffd\ufffd",
    isTruncated: false,
  });
});

test("what comes after both heads is not read", async () => {
  const both = [frame("xxx"), frame("yyy", "stderr")];
  const { snapshot, counted } = snapshotOf([both, both, both]);
  const heads = await readHeads(snapshot, 4);
  expect(heads).toEqual({
    stdout: { text: "xxxx", isTruncated: true },
    stderr: { text: "yyyy", isTruncated: true },
    compiler: { text: "", isTruncated: false },
    installer: { text: "", isTruncated: false },
  });
  expect(counted.read).toBe(2);
});
