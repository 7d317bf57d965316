import { expect, test } from "bun:test";

import { guestUid, guestUids, isRoot, uidProblem } from "../../src/sandbox/guest-uids.ts";

const RANGE = { first: 20_001, last: 20_003 };
const passwdWith = (uid: number) =>
  `root:x:0:0::/root:/bin/sh\nann:x:${uid}:100::/home/ann:/bin/sh\n`;

test("as root each slot has a uid of its own; as anybody else, the service's", () => {
  const uids = [0, 1, 2].map((slot) => guestUid(RANGE, slot));
  expect(uids).toEqual(isRoot() ? [20_001, 20_002, 20_003] : [undefined, undefined, undefined]);
  const own = process.getuid?.() ?? 0;
  expect(guestUids(RANGE)).toEqual(isRoot() ? RANGE : { first: own, last: own });
});

test("a slot that is none, and as root one beyond the range, are refused", () => {
  for (const slot of [-1, 0.5, Number.NaN]) expect(() => guestUid(RANGE, slot)).toThrow("slot");
  if (!isRoot()) return;
  expect(() => guestUid(RANGE, 3)).toThrow("SANDBOX_UIDS has no uid for slot 3");
  expect(() => guestUid(undefined, 0)).toThrow("SANDBOX_UIDS");
});

test("root needs a range, and nobody else in it", () => {
  expect(uidProblem(RANGE, passwdWith(1000))).toBeNull();
  const problems = [uidProblem(undefined), uidProblem(RANGE, passwdWith(20_002))];
  if (!isRoot()) expect(problems).toEqual([null, null]);
  else {
    expect(problems[0]).toContain("SANDBOX_UIDS=");
    expect(problems[1]).toContain("the user ann");
  }
});
