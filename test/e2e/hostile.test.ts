import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";

import { CORPUS } from "../programs/corpus.ts";
import {
  DEFAULT_LIMITS,
  DEFAULT_SPEC,
  type Ended,
  type HostileProgram,
  type World,
} from "../programs/hostile-program.ts";
import { openBaits } from "../support/baits.ts";
import {
  getJob,
  runPython,
  snapshot,
  submit,
  submitPython,
  waitForEnd,
} from "../support/client.ts";
import {
  cgroupsOf,
  guestProcesses,
  type HostState,
  hostState,
  identityOf,
  lookUntil,
  oddFiles,
  settledBytes,
} from "../support/host-state.ts";
import { fillPool, poolIsFull, startsOn } from "../support/running-pool.ts";
import { GUEST_UIDS, type Installed, SET_UPS } from "../support/set-ups.ts";

/*
 * The corpus of hostile programs, against a real service in each way to install it. A few run at a time, beside a job that
 * none of them may touch, each on what the service started ahead of it; each test then judges one.
 */

const AT_ONCE = 3;
/** With a slot for the job that runs all along, and one that is free: else nothing is started ahead. */
const SLOTS = AT_ONCE + 2;
/** So many wait whenever nothing else does: a state that can be compared. There is a uid for each, and for each slot. */
const WAITING = GUEST_UIDS[1] - GUEST_UIDS[0] + 1 - SLOTS;
const WHOLE_CORPUS_MS = 240_000;
/** For what is waited for until it is so; each wait gives up earlier, and says what it saw. */
const [AFTERWARDS_MS, MIB] = [20_000, 1024 * 1024];

/** Holds the secret in its arguments, environment and files, and runs until it is cancelled. */
const VICTIM = `
import os, sys, time
for path in ("victim.txt", "/tmp/victim.txt", "/dev/shm/victim.txt"):
    with open(path, "w") as file: file.write(sys.argv[1])
    os.chmod(path, 0o777)
print("victim is up", flush=True)
while True: time.sleep(60)
`;

const programs = CORPUS.flatMap(({ entries }) => entries).filter((entry) => "spec" in entry);

test("the corpus holds what it should, each entry under a name of its own", () => {
  const entries = CORPUS.flatMap((theme) => theme.entries);
  expect(entries.length).toBeGreaterThanOrEqual(90);
  expect(new Set(entries.map(({ name }) => name)).size).toBe(entries.length);
  const sentences = entries.flatMap(({ tries, safeOutcome }) => [tries, safeOutcome]);
  for (const sentence of sentences) expect(sentence).toMatch(/^[A-Z`0-9/].*[.]$/);
});

test("every set-up is tried where a run has to stand for all of them", () => {
  // Elsewhere an ordinary user's run is worth having, although it cannot be root.
  if (process.env["CI"] === "true") expect(SET_UPS).toHaveLength(3);
});

describe.each(SET_UPS)("in $name", (setUp) => {
  let world: World & { readonly installed: Installed };
  let closeBaits: () => Promise<void>;
  let victimId: string;
  let before: HostState;
  let residentBefore: number;
  let ids: ReadonlyMap<HostileProgram, Promise<string>>;

  beforeAll(async () => {
    const baits = await openBaits();
    closeBaits = baits.close;
    const installed = await setUp.start({
      WORKER_CONCURRENCY: String(SLOTS),
      SANDBOX_UIDS: GUEST_UIDS.join("-"),
      BAIT_SECRET: baits.secret,
      COMPILE_TIMEOUT_SEC: "5",
      LANGUAGES: "python,node,bash,sh,c,c++",
    });
    const { url, dataDir: DATA_DIR } = installed.service;
    const env = { ...baits.env, SERVICE_PORT: new URL(url).port, DATA_DIR };
    world = { url, hasCgroup: setUp.hasCgroup, baits: { ...baits, env }, installed };
    await warmUp(url);
    await fillPool(url, WAITING);
    before = hostState(installed);
    residentBefore = await settledBytes(installed.service.pid);
    victimId = await startVictim(world);
    ids = submitInTurn(world);
  }, WHOLE_CORPUS_MS);

  afterAll(async () => {
    await world.installed.service.kill9();
    await world.installed.remove();
    await closeBaits();
  });

  for (const { title, entries } of CORPUS)
    describe(title, () => {
      for (const entry of entries)
        test(
          entry.name,
          async () => {
            if ("attempt" in entry) await entry.attempt(world);
            else await judge(entry, await ids.get(entry)!, world);
          },
          WHOLE_CORPUS_MS,
        );
    });

  describe("after all of them", () => {
    test("the job that ran beside them is untouched", async () => {
      const running = await getJob(world.url, victimId);
      expect(running).toMatchObject({ status: "running", attempt: 1 });
      await fetch(`${world.url}/jobs/${victimId}/cancel`, { method: "POST" });
      expect(await waitForEnd(world.url, victimId)).toMatchObject({ status: "cancelled" });
      expect((await snapshot(world.url, victimId)).toString()).toBe("victim is up\n");
    });

    test("most of them met an interpreter that had been started ahead", async () => {
      // Those of the shell find a sandbox at most, and so does what asks for little memory, or for variables of Python's own.
      expect(await startsOn(world.url, "interpreter")).toBeGreaterThan(programs.length / 2);
    });

    test("nobody on the host was visited", () => {
      expect(world.baits.visits()).toEqual([]);
    });

    test("a good job succeeds at once", async () => {
      const { job, log } = await runPython(world.url, "print('still here')");
      expect(job).toMatchObject({ status: "succeeded", attempt: 1 });
      expect(log).toBe("still here\n");
    });

    test(
      "no process, mount, cgroup, file or descriptor is left",
      async () => {
        await fillPool(world.url, WAITING);
        const after = await lookUntil(
          () => hostState(world.installed),
          (seen) => Bun.deepEquals(seen, before),
        );
        expect(after).toEqual(before);
        expect(after.sandboxes).toHaveLength(WAITING);
      },
      AFTERWARDS_MS,
    );

    test("job folders hold nothing but plain files of the service", () => {
      expect(oddFiles(world.installed.service.dataDir)).toEqual([]);
    });

    test("the secret is in the store and in the files of its own job, and nowhere else", () => {
      const { dataDir } = world.installed.service;
      const { stdout } = Bun.spawnSync(["grep", "-rlF", world.baits.secret, dataDir]);
      const found = stdout.toString().trimEnd().split("\n");
      const isItsOwn = (path: string) =>
        path.startsWith(join(dataDir, "jobs.sqlite")) || path.startsWith(join(dataDir, victimId));
      expect(found.some(isItsOwn)).toBe(true);
      expect(found.filter((path) => !isItsOwn(path))).toEqual([]);
    });

    test(
      "the service is no larger than before",
      async () => {
        // What an idle heap keeps differs by some MiB from one collection to the next, however many jobs there were; a
        // leak of 250 KiB a job is more than that.
        const allowed = residentBefore * 1.1 + 16 * MIB;
        const resident = await settledBytes(world.installed.service.pid, allowed);
        expect(resident).toBeLessThanOrEqual(allowed);
      },
      AFTERWARDS_MS,
    );

    test(
      "the service has complained of nothing, stops in order and takes everything with it",
      async () => {
        const { service } = world.installed;
        const identity = identityOf(service.pid);
        expect(service.output()).not.toMatch(/ failed: |rror/);
        expect(await service.stop()).toBe(0);
        expect(cgroupsOf(identity)).toEqual([]);
        const look = () => guestProcesses(world.installed);
        expect(await lookUntil(look, (pids) => pids.length === 0)).toEqual([]);
      },
      AFTERWARDS_MS,
    );
  });
});

/** Ordinary jobs of every kind of effort, so that the rest is measured against a service that has worked. */
async function warmUp(url: string): Promise<void> {
  const sources = [
    "print('x' * 1_000_000)\nopen('out.bin', 'wb').write(b'x' * 4_000_000)",
    "for n in range(300): open(f'{n}.txt', 'w').write('x' * 10_000)",
    "for n in range(20): print('x' * 1_000_000)",
  ];
  const jobs = await Promise.all(
    Array.from({ length: 30 }, (_, n) =>
      submitPython(url, sources[n % sources.length]!, { limits: { output_mb: 4 } }),
    ),
  );
  for (const { id } of jobs) {
    expect((await waitForEnd(url, id)).status).toBe("succeeded");
    await snapshot(url, id);
  }
}

/** Submits the corpus, a few at a time, each once there waits what will. Gives the ids that the programs get. */
function submitInTurn(world: World): ReadonlyMap<HostileProgram, Promise<string>> {
  const queue = programs.map((program) => ({ program, ...Promise.withResolvers<string>() }));
  const ids = new Map(queue.map(({ program, promise }) => [program, promise]));
  const lane = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { program, promise, resolve } = next;
      resolve(poolIsFull(world.url, WAITING).then(() => submitHostile(program, world)));
      // What goes wrong is for the test of that program to say.
      await promise.then((id) => waitForEnd(world.url, id)).catch(() => undefined);
    }
  };
  for (let each = 0; each < AT_ONCE; each += 1) void lane();
  return ids;
}

async function startVictim({ url, baits }: World): Promise<string> {
  const { id } = await submitPython(url, VICTIM, {
    args: [baits.secret],
    env: { VICTIM_TOKEN: baits.secret },
    timeout_sec: WHOLE_CORPUS_MS / 1000,
  });
  const stream = await fetch(`${url}/jobs/${id}/logs/stream`);
  const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; !text.includes("victim is up");) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`The victim did not come up: ${text}`);
    text += value;
  }
  await reader.cancel();
  return id;
}

async function submitHostile({ spec, files }: HostileProgram, world: World): Promise<string> {
  const { limits, env, ...rest } = spec as HostileProgram["spec"] & Record<string, object>;
  const job = await submit(world.url, {
    spec: {
      ...DEFAULT_SPEC,
      ...rest,
      limits: { ...DEFAULT_LIMITS, ...limits },
      env: { ...world.baits.env, ...env },
    },
    code: files,
  });
  return job.id;
}

async function judge(program: HostileProgram, id: string, world: World): Promise<void> {
  const {
    status,
    reason,
    attempt,
    exit_code,
    signal,
    oom,
    usage,
    error,
    log,
    artifacts,
    warnings,
  } = await waitForEnd(world.url, id);
  const printed = (await snapshot(world.url, id)).toString();
  const ended: Ended = {
    id,
    status,
    reason,
    attempt,
    exit_code,
    signal,
    oom,
    usage,
    error,
    log,
    artifacts,
    warnings,
    printed,
  };
  // Whatever became of it: it ran once, nothing of ours broke, and it got hold of no secret.
  expect(ended).toMatchObject({ attempt: 1, error: reason === "compile_error" ? error : null });
  expect(ended.printed).not.toContain(world.baits.secret);
  await program.expect(ended, world);
}
