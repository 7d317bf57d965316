import { expect, test } from "bun:test";

import { guestUid, guestUids, isRoot, uidProblem } from "../../src/sandbox/guest-uids.ts";

const RANGE = { first: 20_001, last: 20_003 };
/** All capabilities of Linux 6.18, as /proc/self/status tells them. */
const EVERY_CAPABILITY = "000001ffffffffff";
const filesWith = ({ uid = 1000, capabilities = EVERY_CAPABILITY }) => ({
  passwd: `root:x:0:0::/root:/bin/sh\nann:x:${uid}:100::/home/ann:/bin/sh\n`,
  ownStatus: `Name:\tbun\nCapPrm:\t${EVERY_CAPABILITY}\nCapEff:\t${capabilities}\nCapBnd:\t${EVERY_CAPABILITY}\n`,
});

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
  expect(uidProblem(RANGE, filesWith({}))).toBeNull();
  const problems = [uidProblem(undefined), uidProblem(RANGE, filesWith({ uid: 20_002 }))];
  if (!isRoot()) expect(problems).toEqual([null, null]);
  else {
    expect(problems[0]).toContain("SANDBOX_UIDS=");
    expect(problems[1]).toContain("the user ann");
  }
});

// --cap-drop ALL; Docker's default without CHOWN and KILL; what is needed, and Docker's default.
test.each([
  ["0000000000000000", "--cap-add CHOWN --cap-add KILL --cap-add SETGID --cap-add SETUID"],
  ["00000000a80425da", "--cap-add CHOWN --cap-add KILL"],
  ["00000000000000e1", null],
  ["00000000a80425fb", null],
])("root with the capabilities %s is told what it lacks: %s", (capabilities, lacking) => {
  const problem = uidProblem(RANGE, filesWith({ capabilities }));
  if (!isRoot() || lacking === null) expect(problem).toBeNull();
  else expect(problem).toEndWith(`or give it what is missing (${lacking}).`);
});

test("root that cannot tell its capabilities is taken to have none", () => {
  const problem = uidProblem(RANGE, { ...filesWith({}), ownStatus: "" });
  if (isRoot()) expect(problem).toContain("--cap-add SETUID");
  else expect(problem).toBeNull();
});
