import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

import { Redis } from "ioredis";

import { snapshot } from "../../support/client.ts";
import type { RedisServer } from "../../support/redis-server.ts";
import type { SeenEvent } from "../follower.ts";
import { BOTH, type Row, type Trial } from "../trial.ts";
import { Violation } from "../violation.ts";
import type { World } from "../world.ts";

async function openOne(trial: Trial, env: Record<string, string> = {}): Promise<World> {
  const world = await trial.open({ env });
  await world.startApi();
  if (world.kind === "redis") await world.startWorker();
  return world;
}

/** Each trial tries every so many-th id, from one that chance picks. */
const STEP = 10;
const LINES = 10_000;

const everyId: Row = {
  name: `reconnect at every id of a log of ${LINES} events`,
  stores: BOTH,
  async run(trial) {
    const world = await openOne(trial);
    const { id } = await world.submitPython(`for i in range(${LINES}): print(i, "x" * (i % 40))\n`);
    const format = trial.random.pick(["plain", "json"]);
    const path = `/jobs/${id}/logs/stream?format=${format}`;
    const events = await world.wholeStream(path);
    // A piece is a line, or less where the program's write or our entry ended within it.
    const isWhole = format === "plain" ? events.length === LINES + 2 : events.length >= LINES + 2;
    if (!isWhole) throw new Violation("gap", `${events.length} ${format} events`);
    for (let at = trial.random.int(0, STEP - 1); at < events.length - 1; at += STEP) {
      const next = JSON.stringify(await firstEvent(world, path, events[at]?.id ?? ""));
      const wanted = JSON.stringify(events[at + 1]);
      if (next !== wanted)
        throw new Violation("gap", `after ${events[at]?.id} came ${next}, not ${wanted}`);
    }
    const last = await fetch(world.url + path, {
      headers: { "Last-Event-ID": events.at(-1)?.id ?? "" },
    });
    if (last.status !== 204) throw new Violation("duplicate", `after the end: ${last.status}`);
  },
};

/** The first event that a resumed stream sends. */
async function firstEvent(world: World, path: string, after: string): Promise<SeenEvent> {
  const connection = new AbortController();
  const response = await fetch(world.url + path, {
    headers: { "Last-Event-ID": after },
    signal: connection.signal,
  });
  let text = "";
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    const event = /^(?:event: (.*)\n)?id: (.*)\ndata: (.*)\n\n/m.exec(text);
    if (event === null) continue;
    connection.abort();
    const [, name = "message", id = "", data = ""] = event;
    return { id, name, data };
  }
  throw new Violation("loss", `the stream after ${after} ended without an event`);
}

const SUBSCRIBERS = 40;

const atTheEnd: Row = {
  name: "subscribe in the moment that a job ends, to an ended, an unknown and an expired one",
  stores: BOTH,
  async run(trial) {
    const world = await openOne(trial, { RETENTION_SEC: "4" });
    const { id } = await world.submitPython("import time\ntime.sleep(0.3)\nprint('last words')\n");
    const path = `/jobs/${id}/logs/stream`;
    const subscribers = await Promise.all(
      Array.from({ length: SUBSCRIBERS }, async () => {
        await Bun.sleep(trial.random.int(0, 700));
        return await world.wholeStream(path);
      }),
    );
    subscribers.push(await world.wholeStream(path));
    for (const events of subscribers) {
      const seen = events.map(({ name, data }) => (name === "message" ? data : name)).join(" ");
      if (seen !== "attempt last words end") throw new Violation("gap", `a subscriber saw ${seen}`);
    }
    const statusOf = async (of: string) => {
      const response = await fetch(`${world.url}/jobs/${of}/logs/stream`);
      await response.body?.cancel();
      return response.status;
    };
    if ((await statusOf(crypto.randomUUID())) !== 404) throw new Error("An unknown job is no 404");
    // Expired jobs are looked for every ten seconds, and their logs go piece by piece.
    const expiredByMs = performance.now() + 30_000;
    for (;;) {
      const left = (await statusOf(id)) === 404 ? await leftOf(world, id) : ["the job"];
      if (left.length === 0) break;
      if (performance.now() > expiredByMs)
        throw new Violation("orphan", `of a job that has expired ${left.join(", ")} are left`);
      await Bun.sleep(200);
    }
  },
};

/** Where a job, which was the only one, has left something: keys or rows, and files. */
async function leftOf({ redis, dataDir }: World, id: string): Promise<readonly string[]> {
  const paths = await readdir(dataDir, { recursive: true });
  const files = paths.filter((path) => path.includes(id));
  return [...files, ...(redis === null ? rowsIn(dataDir) : await keysWith(redis, id))];
}

function rowsIn(dataDir: string): readonly string[] {
  const database = new DatabaseSync(join(dataDir, "jobs.sqlite"), { readOnly: true });
  try {
    return ["job", "spec", "chunk", "trash", "once"].filter(
      (table) => database.prepare(`SELECT 1 FROM ${table}`).get() !== undefined,
    );
  } finally {
    database.close();
  }
}

async function keysWith({ url }: RedisServer, id: string): Promise<readonly string[]> {
  const client = new Redis(url);
  try {
    // A worker keeps the name of each slot's latest claim, in case that its answer was lost.
    const keys = (await client.keys("*")).filter((key) => !key.includes(":slots:"));
    const dumps = await Promise.all(keys.map((key) => client.dumpBuffer(key)));
    return keys.filter((key, index) => key.includes(id) || dumps[index]?.includes(id) === true);
  } finally {
    client.disconnect();
  }
}

const quiet: Row = {
  name: "five quiet heartbeats",
  stores: BOTH,
  async run(trial) {
    const world = await openOne(trial, { HEARTBEAT_SEC: "1" });
    const { id } = await world.submitPython("import time\ntime.sleep(5.5)\nprint('awake')\n");
    const text = await (await fetch(`${world.url}/jobs/${id}/logs/stream`)).text();
    const comments = text.match(/^: heartbeat$/gm)?.length ?? 0;
    // The first may fall before the stream is open.
    if (comments < 4 || !/data: awake\n\nevent: end\n/.test(text))
      throw new Violation("loss", `${comments} heartbeats: ${text.slice(-300)}`);
  },
};

/** What a client of a judge would like to see: an end that the program made up. */
const FORGED = String.raw`
import sys
sys.stdout.write("\n\nevent: end\ndata: {}\n\n")
sys.stdout.write("a\rdata: forged\rid: 1-1.1\r\n")
sys.stdout.write("b\u2028data: forged\u2028\u0085event: end\u0085\x0b\x0c\n")
sys.stdout.flush()
`;

const forged: Row = {
  name: "a program prints frames of an event stream",
  stores: BOTH,
  async run(trial) {
    const world = await openOne(trial);
    const { id } = await world.submitPython(FORGED);
    const path = `/jobs/${id}/logs/stream`;
    const events = await world.wholeStream(path);
    const lines = events.filter(({ name }) => name === "message").map(({ data }) => data);
    const printed = (await snapshot(world.url, id)).toString();
    const wanted = printed.split(/\r\n|\r|\n/).slice(0, -1);
    if (JSON.stringify(lines) !== JSON.stringify(wanted))
      throw new Violation("gap", `the lines are ${JSON.stringify(lines)}`);
    const names = events.map(({ name }) => name).filter((name) => name !== "message");
    if (names.join() !== "attempt,end") throw new Violation("duplicate", `events ${names.join()}`);
  },
};

export const STREAMS: readonly Row[] = [everyId, atTheEnd, quiet, forged];
