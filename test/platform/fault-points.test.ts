import { expect, test } from "bun:test";

import { parseFaultPoints, withFaultPoints } from "../../src/platform/fault-points.ts";

test("points are read with the pass at which they act", () => {
  expect(parseFaultPoints("")).toEqual([]);
  expect(parseFaultPoints("store.claim.after:kill,store.append.before:stop@3")).toEqual([
    { name: "store.claim.after", action: "kill", pass: 1 },
    { name: "store.append.before", action: "stop", pass: 3 },
  ]);
  for (const text of [
    "store.claim:kill",
    "store.claim.after:burn",
    "store.claim.after:kill@0",
    "x",
  ])
    expect(() => parseFaultPoints(text)).toThrow("is no fault point; one is");
});

test("a port without points is given back as it is", () => {
  const port = { claim: async () => 1 };
  expect(withFaultPoints(port, "store", parseFaultPoints("files.add.after:kill"))).toBe(port);
});

/** What a process has printed before it died of its fault point, and how it ended. */
async function runWith(fault: string) {
  const program = `
    import { parseFaultPoints, withFaultPoints } from "${import.meta.dir}/../../src/platform/fault-points.ts";
    class Port {
      #count = 0;
      get kind() { return "port"; }
      async step() { console.log("step", ++this.#count); return this.#count; }
      async other() { console.log("other"); }
    }
    const port = withFaultPoints(new Port(), "port", parseFaultPoints("${fault}"));
    await port.other();
    for (let i = 0; i < 3; i += 1) console.log(port.kind, "answered", await port.step());
  `;
  const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" });
  const printed = await child.stdout.text();
  await child.exited;
  return { printed, signal: child.signalCode };
}

test("the process dies before a call is made, or after it has been answered and before anybody knows", async () => {
  expect(await runWith("port.step.before:kill@2")).toEqual({
    printed: "other\nstep 1\nport answered 1\n",
    signal: "SIGKILL",
  });
  expect(await runWith("port.step.after:kill@2")).toEqual({
    printed: "other\nstep 1\nport answered 1\nstep 2\n",
    signal: "SIGKILL",
  });
});
