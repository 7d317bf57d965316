import { describe, expect, test } from "bun:test";

import { spawnProcess } from "../../src/platform/spawn.ts";
import type { GuestMeter } from "../../src/sandbox/guest-meter.ts";
import { BrokenSandbox, type Guest, type GuestRequest } from "../../src/sandbox/sandbox.ts";
import { prepareSupervised } from "../../src/sandbox/supervised-guest.ts";
import { createTreeMeter } from "../../src/sandbox/tree-meter.ts";
import { openFds, processesWith, shellRequest, untilNoNewFds } from "../support/guests.ts";

/*
 * The service's side alone: a shell script stands where the supervisor is, and says what a supervisor under a guest's
 * control might. Its descriptors are 3 (result), 4 (stdout) and 5 (stderr).
 */
async function startAgainst(script: string, unlike: Unlike = {}): Promise<Guest> {
  const { meter = {}, isPidKnown = true, startStallMs = 10_000 } = unlike;
  const prepared = await prepareSupervised({
    baseEnv: {},
    startStallMs,
    makeMeter: () => ({ ...createTreeMeter(), ...meter }),
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
      const unknown = new Promise<number>(() => undefined);
      return { child, supervisorPid: isPidKnown ? Promise.resolve(child.pid) : unknown, takeDown };
    },
  });
  const { mayStart, inputs } = unlike;
  const leave = { ...(mayStart && { mayStart }), ...(inputs && { inputs }) };
  return prepared.run(shellRequest("never run", leave));
}

/** What is not as it should be. */
interface Unlike {
  readonly meter?: Partial<GuestMeter>;
  readonly isPidKnown?: boolean;
  readonly startStallMs?: number;
  readonly mayStart?: Promise<void>;
  readonly inputs?: GuestRequest["inputs"];
}

function throwing(what: string) {
  return () => {
    throw new Error(`no ${what}`);
  };
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

/** Stays until it is killed, and is found by `marker` until then. */
const stays = (marker: string) => `exec /usr/bin/perl -e 'sleep 600' ${marker}`;

describe("a start that comes to nothing", () => {
  test.each<[string, string, Unlike]>([
    ["one that ends without a word", "exit 1;", {}],
    ["one that talks garbage", "echo garbage >&3;", {}],
    ["one that takes no job", "", { startStallMs: 100 }],
    ["one whose pid nobody tells", "", { startStallMs: 100, isPidKnown: false }],
    ["one that cannot be limited", "", { meter: { limit: throwing("limit") } }],
  ])("%s is broken: another may run the job", async (_what, script, unlike) => {
    const before = openFds();
    const marker = crypto.randomUUID();
    const start = startAgainst(`${script} ${stays(marker)}`, unlike);
    expect(await start.catch((error: unknown) => error)).toBeInstanceOf(BrokenSandbox);
    expect(processesWith(marker)).toEqual([]);
    expect(await untilNoNewFds(before)).toEqual([]);
  });

  test("one that gives the job up says why: another would do the same", async () => {
    const start = startAgainst("echo 'files do not fit' >&2; exit 126");
    const error = await start.catch((thrown: unknown) => thrown);
    expect(error).not.toBeInstanceOf(BrokenSandbox);
    expect(error).toMatchObject({ code: "sandbox_error", message: "files do not fit" });
  });

  test("a program that runs and cannot be watched is taken down, and not started again", async () => {
    const marker = crypto.randomUUID();
    const start = startAgainst(`${STARTED} ${stays(marker)}`, {
      meter: { watch: throwing("watch") },
    });
    const error = await start.catch((thrown: unknown) => thrown);
    // Whoever starts guests tries again what is a sandbox_error.
    expect(error).not.toHaveProperty("code");
    expect(String(error)).toBe("Error: no watch");
    expect(processesWith(marker)).toEqual([]);
  });
});

describe("leave to start", () => {
  test("that takes its time is nobody's standstill", async () => {
    const { promise: mayStart, resolve } = Promise.withResolvers<void>();
    const startStallMs = 50;
    setTimeout(resolve, 4 * startStallMs);
    // "S" follows upon "go", the last record, whatever the job before it is.
    const script = `while [ "$(tail=$(head -c 1); printf %s "$tail")" != G ]; do :; done; ${STARTED} exec sleep 600`;
    const guest = await startAgainst(script, { startStallMs, mayStart });
    await guest.destroy();
  });

  test("that is refused ends the sandbox, and is what start() says", async () => {
    const marker = crypto.randomUUID();
    const refused = new Error("not this one");
    const mayStart = Promise.reject(refused);
    mayStart.catch(() => undefined);
    expect(await startAgainst(stays(marker), { mayStart }).catch(String)).toBe(String(refused));
    expect(processesWith(marker)).toEqual([]);
  });
});

test("leave that is refused while a job is being handed over ends that at once", async () => {
  const { promise: mayStart, reject } = Promise.withResolvers<void>();
  const bytes = () =>
    new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(new Uint8Array(1 << 20));
        reject(new Error("not this one"));
      },
    });
  const inputs = [{ path: "endless", sizeBytes: Number.MAX_SAFE_INTEGER, bytes }];
  const error = await startAgainst("cat >/dev/null", { mayStart, inputs }).catch(String);
  expect(error).toBe("Error: not this one");
});

describe("a meter that fails", () => {
  const ENDED = `printf 'E\\0\\0\\0\\24${"\\0".repeat(20)}' >&3;`;

  test("when the program has ended: the guest is broken, and nothing rejects", async () => {
    const guest = await startAgainst(`${STARTED} ${ENDED} exec sleep 600`, {
      meter: { finish: throwing("count") },
    });
    expect(await guest.exited).toBeNull();
    expect(guest.failure()).toContain("could not be read: no count");
    await guest.destroy();
  });

  test("when the sandbox has: likewise, and what was first is told", async () => {
    const guest = await startAgainst(`${STARTED} kill -9 $$`, {
      meter: { finish: throwing("count") },
    });
    expect(await guest.exited).toBeNull();
    expect(guest.failure()).toContain("ended before the program did");
    await guest.destroy();
  });

  test("when the guest is taken down: whoever destroys it hears of that, and nobody else", async () => {
    const guest = await startAgainst(`${STARTED} exec sleep 600`, {
      meter: { close: () => Promise.reject(new Error("no close")) },
    });
    guest.stop();
    expect(await guest.exited).toBeNull();
    await expect(guest.destroy()).rejects.toThrow("no close");
  });
});
