import { afterEach, beforeEach, describe, expect, test } from "bun:test";

import { AppError } from "../../src/errors.ts";
import type { JobRecord } from "../../src/jobs/job.ts";
import { outcomeWithoutRun } from "../../src/jobs/outcome.ts";
import type { AttemptSelection } from "../../src/logs/attempt-selection.ts";
import type { EventId } from "../../src/logs/events.ts";
import { FINISHED, followLog, type FollowStep } from "../../src/logs/follow.ts";
import { createLogHub } from "../../src/logs/hub.ts";
import { openSnapshot, readSnapshot } from "../../src/logs/snapshot.ts";
import { listEvents, type LogEvent } from "../support/event-list.ts";
import { overridden } from "../support/overridden.ts";
import { openWorkshop, type Workshop } from "../support/workshop.ts";

let workshop: Workshop;
let id: string;
beforeEach(async () => {
  workshop = await openWorkshop();
  ({ id } = await workshop.store.submit(await workshop.prepare("true")));
});
afterEach(() => workshop.close());

const OWNER = "me";

async function record(): Promise<JobRecord> {
  const job = await workshop.store.get(id);
  if (job === null) throw new Error("No job");
  return job;
}

async function claim(): Promise<JobRecord> {
  const job = await workshop.store.claim({ owner: OWNER, slot: 0, token: crypto.randomUUID() });
  if (job === null) throw new Error("Nothing to claim");
  return job;
}

async function print(epoch: number, seq: number, text: string): Promise<void> {
  const bytes = Buffer.from(text);
  await workshop.store.append({
    id,
    epoch,
    owner: OWNER,
    seq,
    body: { kind: "frames", frames: [{ stream: "stdout", bytes }] },
    log: { bytes: bytes.length, droppedBytes: 0 },
  });
}

async function finish(epoch: number): Promise<void> {
  const outcome = outcomeWithoutRun("failed", "sandbox_error", null);
  const log = { bytes: 0, droppedBytes: 0 };
  const lastSeq = (await workshop.store.lastEntryId(id))?.seq ?? 0;
  await workshop.store.finish({ id, epoch, owner: OWNER, lastSeq, outcome, log });
}

interface Options {
  readonly attempt?: AttemptSelection;
  readonly after?: EventId | null;
  readonly heartbeatMs?: number;
}

const FROM_THE_START = {
  mode: "plain",
  attempt: "latest",
  after: null,
  heartbeatMs: 1_000_000,
  frame: listEvents,
} as const;

async function open(
  options: Options = {},
  signal = new AbortController().signal,
  store = workshop.store,
) {
  return followLog(
    createLogHub(store),
    await record(),
    { ...FROM_THE_START, ...options, id },
    signal,
  );
}

type Events = readonly LogEvent[];
type Opened = Awaited<ReturnType<typeof followLog<Events>>>;

function live(steps: Opened): AsyncGenerator<FollowStep<Events>> {
  if (steps === FINISHED) throw new Error("There is nothing more to come");
  return steps;
}

/** `kind` of each event, or the text of a line. */
const words = (events: Events) =>
  events.map((event) => (event.kind === "line" ? event.text : event.kind));

async function readAll(steps: Opened): Promise<string[]> {
  const all: string[] = [];
  for await (const step of live(steps))
    all.push(...(step.kind === "events" ? words(step.events) : [step.kind]));
  return all;
}

async function next(steps: Opened): Promise<string[]> {
  const { value, done } = await live(steps).next();
  if (done === true) return ["done"];
  return value.kind === "events" ? words(value.events) : [value.kind];
}

async function snapshotText(attempt: AttemptSelection = "latest"): Promise<string> {
  const snapshot = await openSnapshot(workshop.store, await record(), attempt);
  return Buffer.concat(await Array.fromAsync(readSnapshot(snapshot, undefined))).toString();
}

describe("following a log", () => {
  test("history first, then what comes, to the end", async () => {
    const { epoch } = await claim();
    await print(epoch, 1, "one\n");
    const steps = await open();
    expect(await next(steps)).toEqual(["attempt", "one"]);
    const coming = next(steps);
    await print(epoch, 2, "two\n");
    expect(await coming).toEqual(["two"]);
    await finish(epoch);
    expect(await next(steps)).toEqual(["end"]);
    expect(await next(steps)).toEqual(["done"]);
  });

  test("a job that waits in the queue is followed from its claim on", async () => {
    const steps = await open();
    const coming = next(steps);
    const { epoch } = await claim();
    expect(await coming).toEqual(["attempt"]);
    await finish(epoch);
    expect(await next(steps)).toEqual(["end"]);
  });

  test("a job that is cancelled in the queue ends its stream", async () => {
    const reading = readAll(await open());
    await workshop.store.requestCancel(id);
    expect(await reading).toEqual(["end"]);
  });

  test("a quiet log gives heartbeats, also to a reader that resumed at a marker", async () => {
    const { epoch } = await claim();
    for (const after of [null, { epoch, seq: 0, offset: 0 }]) {
      const steps = await open({ heartbeatMs: 5, after });
      if (after === null) expect(await next(steps)).toEqual(["attempt"]);
      expect(await next(steps)).toEqual(["heartbeat"]);
      expect(await next(steps)).toEqual(["heartbeat"]);
      await live(steps).return(undefined);
    }
  });

  test("a run that is lost and begun again shows the border; a fresh reader sees the latest only", async () => {
    const first = await claim();
    await print(first.epoch, 1, "lost\n");
    const steps = await open();
    expect(await next(steps)).toEqual(["attempt", "lost"]);
    await workshop.store.releaseOwner(OWNER);
    const second = await claim();
    await print(second.epoch, 1, "kept\n");
    await finish(second.epoch);
    expect(await readAll(steps)).toEqual(["attempt", "kept", "end"]);
    expect(await readAll(await open())).toEqual(["attempt", "kept", "end"]);
    expect(await readAll(await open({ attempt: "all" }))).toEqual([
      "attempt",
      "lost",
      "attempt",
      "kept",
      "end",
    ]);
    expect(await readAll(await open({ attempt: 1 }))).toEqual(["attempt", "lost", "attempt"]);
    expect([await snapshotText(), await snapshotText(1), await snapshotText("all")]).toEqual([
      "kept\n",
      "lost\n",
      "lost\nkept\n",
    ]);
    // A position in the lost attempt is good only for those who asked for it.
    const after = { epoch: first.epoch, seq: 1, offset: 5 };
    expect(await readAll(await open({ after }))).toEqual(["reset", "attempt", "kept", "end"]);
    expect(await readAll(await open({ after, attempt: "all" }))).toEqual([
      "attempt",
      "kept",
      "end",
    ]);
    expect(await readAll(await open({ after, attempt: 1 }))).toEqual(["attempt"]);
    const border = { epoch: second.epoch, seq: 0, offset: 0 };
    expect(await open({ after: border, attempt: 1 })).toBe(FINISHED);
  });

  test("one given attempt ends at the border to the next, also for who followed it as the latest", async () => {
    const first = await claim();
    const steps = await open({ attempt: 1 });
    expect(await next(steps)).toEqual(["attempt"]);
    const seenAtFirst = await record();
    await workshop.store.releaseOwner(OWNER);
    const second = await claim();
    await print(second.epoch, 1, "of the second\n");
    await finish(second.epoch);
    expect(await readAll(steps)).toEqual(["attempt"]);
    const snapshot = await openSnapshot(workshop.store, seenAtFirst, 1);
    const parts = await Array.fromAsync(readSnapshot(snapshot, undefined));
    expect([first.epoch < second.epoch, Buffer.concat(parts).toString()]).toEqual([true, ""]);
  });

  test("a store that is away is waited for with heartbeats; then the stream goes on where it was", async () => {
    const { epoch } = await claim();
    await print(epoch, 1, "before\n");
    let isAway = false;
    const store = overridden(workshop.store, {
      readLog: (request) =>
        isAway
          ? Promise.reject(new AppError("store_unavailable", "away"))
          : workshop.store.readLog(request),
    });
    const steps = await open({ heartbeatMs: 20 }, new AbortController().signal, store);
    expect(await next(steps)).toEqual(["attempt", "before"]);
    isAway = true;
    expect(await next(steps)).toEqual(["heartbeat"]);
    expect(await next(steps)).toEqual(["heartbeat"]);
    isAway = false;
    await print(epoch, 2, "after\n");
    const seen: string[] = [];
    while (!seen.includes("after")) seen.push(...(await next(steps)));
    expect(seen.filter((word) => word !== "heartbeat")).toEqual(["after"]);
  });

  test("an entry of nothing but line ends comes in small steps, so that a reader holds little of it", async () => {
    const { epoch } = await claim();
    await print(epoch, 1, "\n".repeat(65_536));
    await finish(epoch);
    let lines = 0;
    const opened = await open();
    for await (const step of live(opened)) {
      const events = step.kind === "events" ? step.events : [];
      expect(events.length).toBeLessThanOrEqual(500);
      lines += events.filter(({ kind }) => kind === "line").length;
    }
    expect(lines).toBe(65_536);
  });

  test("a server that stops lets its readers have all there is", async () => {
    const { epoch } = await claim();
    await print(epoch, 1, "said\n");
    const closing = new AbortController();
    closing.abort();
    expect(await readAll(await open({}, closing.signal))).toEqual(["attempt", "said"]);
    await finish(epoch);
    expect(await readAll(await open({}, closing.signal))).toEqual(["attempt", "said", "end"]);
  });

  test("a position inside an entry continues at that byte", async () => {
    const { epoch } = await claim();
    await print(epoch, 1, "one\ntwo\nthr");
    await print(epoch, 2, "ee\n");
    await finish(epoch);
    const after = { epoch, seq: 1, offset: 4 };
    expect(await readAll(await open({ after }))).toEqual(["two", "three", "end"]);
  });

  test("a reader that goes away while it waits is let go at once", async () => {
    await claim();
    const gone = new AbortController();
    const steps = await open({}, gone.signal);
    expect(await next(steps)).toEqual(["attempt"]);
    const waiting = next(steps);
    gone.abort();
    expect(await waiting).toEqual(["done"]);
  });

  test("the stream of a job that is removed ends without an end", async () => {
    const { epoch } = await claim();
    await finish(epoch);
    const job = await record();
    await workshop.store.remove(id);
    const steps = await followLog(
      createLogHub(workshop.store),
      job,
      { ...FROM_THE_START, id },
      new AbortController().signal,
    );
    expect(await readAll(steps)).toEqual([]);
  });
});
