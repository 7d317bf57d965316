import { describe, expect, test } from "bun:test";

import { spawnProcess } from "../../src/platform/spawn.ts";
import type { Guest } from "../../src/sandbox/sandbox.ts";
import { prepareSupervised } from "../../src/sandbox/supervised-guest.ts";
import { createTreeMeter } from "../../src/sandbox/tree-meter.ts";
import { openFds, shellRequest, untilNoNewFds } from "../support/guests.ts";

/*
 * The service's side alone: a shell script stands where the supervisor is, and says what a supervisor under a guest's
 * control might. Its descriptors are 3 (result), 4 (stdout) and 5 (stderr).
 */
async function startAgainst(script: string): Promise<Guest> {
  const prepared = await prepareSupervised({
    baseEnv: {},
    makeMeter: createTreeMeter,
    launch(fds) {
      const child = spawnProcess({
        argv: ["/bin/sh", "-c", script],
        env: { PATH: "/usr/bin:/bin" },
        cwd: "/",
        extraFds: [fds.result, fds.stdout, fds.stderr],
      });
      const takeDown = async () => {
        child.kill();
        await child.exited;
      };
      return { child, supervisorPid: Promise.resolve(child.pid), takeDown };
    },
  });
  return prepared.run(shellRequest("never run"));
}

const STARTED = "printf 'S\\0\\0\\0\\0' >&3;";

describe("a supervisor that misbehaves", () => {
  test("one that ends at once: its last words are the error, and no descriptor is left", async () => {
    const before = openFds();
    const error = await startAgainst("echo 'no namespaces here' >&2; exit 1").catch(String);
    expect(error).toContain("no namespaces here");
    expect(await startAgainst("exit 1").catch(String)).toContain(
      "ended before the program started",
    );
    expect(await untilNoNewFds(before)).toEqual([]);
  });

  test("one that talks garbage instead of starting", async () => {
    expect(await startAgainst("echo garbage >&3; exec sleep 600").catch(String)).toContain(
      "huge record",
    );
  });

  test("one that dies under its program", async () => {
    const guest = await startAgainst(`${STARTED} echo dying >&2; kill -9 $$`);
    expect(await guest.exited).toBeNull();
    expect(guest.failure()).toContain("ended before the program did");
    const iterator = guest.outputs()[Symbol.asyncIterator]();
    expect(await iterator.next().catch(String)).toContain("lost");
    await guest.destroy();
  });

  test("one that lies about the end", async () => {
    const guest = await startAgainst(`${STARTED} printf 'E\\0\\0\\0\\1x' >&3; exec sleep 600`);
    expect(await guest.exited).toBeNull();
    expect(guest.failure()).toContain("odd");
    await guest.destroy();
  });

  test("one that does not stop is taken down", async () => {
    const guest = await startAgainst(`${STARTED} exec sleep 600`);
    guest.stop();
    expect(await guest.exited).toBeNull();
    expect(guest.failure()).toContain("could not be stopped");
    await guest.destroy();
  });
});
