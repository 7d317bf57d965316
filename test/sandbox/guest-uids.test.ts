import { expect, test } from "bun:test";

import { createUidLender, guestUids, isRoot, uidProblem } from "../../src/sandbox/guest-uids.ts";

const RANGE = { first: 20_001, last: 20_003 };
/** All capabilities of Linux 6.18, as /proc/self/status tells them. */
const EVERY_CAPABILITY = "000001ffffffffff";
const filesWith = ({ uid = 1000, capabilities = EVERY_CAPABILITY }) => ({
  passwd: `root:x:0:0::/root:/bin/sh\nann:x:${uid}:100::/home/ann:/bin/sh\n`,
  ownStatus: `Name:\tbun\nCapPrm:\t${EVERY_CAPABILITY}\nCapEff:\t${capabilities}\nCapBnd:\t${EVERY_CAPABILITY}\n`,
});

test("as root each guest has a uid of its own while it is there; as anybody else, the service's", async () => {
  const lender = createUidLender(RANGE);
  const loans = await Promise.all([lender.lend(), lender.lend(), lender.lend()]);
  expect(loans.map(({ uid }) => uid)).toEqual(
    isRoot() ? [20_001, 20_002, 20_003] : [undefined, undefined, undefined],
  );
  const own = process.getuid?.() ?? 0;
  expect(guestUids(RANGE)).toEqual(isRoot() ? RANGE : { first: own, last: own });
  loans[1]?.giveBack();
  expect((await lender.lend()).uid).toBe(isRoot() ? 20_002 : undefined);
});

test.if(isRoot())(
  "as root a guest for which there is no uid waits for the next, but not for ever",
  async () => {
    const lender = createUidLender({ first: 20_001, last: 20_001 }, 30);
    const first = await lender.lend();
    expect(first.uid).toBe(20_001);
    const waiting = [lender.lend(), lender.lend()];
    first.giveBack();
    // A second time it gives nothing: the uid is another guest's.
    first.giveBack();
    const second = await waiting[0];
    expect(second?.uid).toBe(20_001);
    await expect(waiting[1]).rejects.toThrow("SANDBOX_UIDS has no uid left");
    second?.giveBack();
    expect((await lender.lend()).uid).toBe(20_001);
  },
);

test.if(isRoot())("as root a range that is none has no uid, least of all root's", async () => {
  for (const first of [Number.NaN, 0, -1, 1.5])
    await expect(createUidLender({ first, last: 9 }).lend()).rejects.toThrow("SANDBOX_UIDS");
  await expect(createUidLender(undefined).lend()).rejects.toThrow("SANDBOX_UIDS");
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
