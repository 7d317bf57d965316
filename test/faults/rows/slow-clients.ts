import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { quantile } from "../../../bench/measure.ts";
import { residentBytes } from "../memory.ts";
import type { Row } from "../trial.ts";
import { Violation } from "../violation.ts";
import type { World } from "../world.ts";

const MIB = 1024 * 1024;
/** What one slow client may cost the API, and how many there are: garbage that waits for its collector is no cost. */
const SLOW_CLIENT_BYTES = 8 * MIB;
const SLOW_CLIENTS = 10;
/** How late half of the lines may be for somebody else who follows another job, if that is late at all without slow clients. */
const PROMPT_MS = 500;

/** 10 MB in lines of ten bytes, which are 44 MB as a stream: far more than sockets hold. */
const BIG = "import sys\nfor _ in range(1000): sys.stdout.write(('x' * 9 + '\\n') * 1000)\n";
const CLOCK =
  "import time\nfor _ in range(30):\n  print(time.time() * 1000, flush=True)\n  time.sleep(0.1)\n";

/** curl, into a file. A paused process reads nothing, whatever comes. */
function download(world: World, path: string, flags: readonly string[] = []) {
  const file = join(world.dataDir, "..", crypto.randomUUID());
  const child = Bun.spawn(["curl", "-sN", "-o", file, ...flags, world.url + path]);
  world.onClose(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  const sizeBytes = async () => (await stat(file).catch(() => null))?.size ?? 0;
  return { file, child, sizeBytes };
}

/** A stream without its comments, of which a slow client gets more. */
async function eventsIn(file: string): Promise<string> {
  return (await readFile(file, "utf8")).replace(/^: .*\n\n/gm, "");
}

/** The median resident memory of a process over a second. */
async function medianBytes(pid: number): Promise<number> {
  const samples: number[] = [];
  for (let sample = 0; sample < 50; sample += 1) {
    samples.push(residentBytes(pid));
    await delay(20);
  }
  return quantile(samples, 0.5);
}

/** Follows a job that prints the time, ten times a second; how late each line came. */
async function delaysOfAnother(world: World): Promise<readonly number[]> {
  const { id } = await world.submitPython(CLOCK);
  const response = await fetch(`${world.url}/jobs/${id}/logs/stream`);
  const delays: number[] = [];
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? [])
    for (const [, printedAtMs] of chunk.matchAll(/^data: ([\d.]+)$/gm))
      delays.push(Date.now() - Number(printedAtMs));
  return delays;
}

const slowClients: Row = {
  name: `${SLOW_CLIENTS} clients read 100 KB/s, or nothing, of a log of 10 MB`,
  stores: ["sqlite", "redis"],
  async run(trial) {
    const world = await trial.open();
    const api = await world.startApi();
    if (world.kind === "redis") await world.startWorker();
    const { id } = await world.submitPython(BIG);
    const path = `/jobs/${id}/logs/stream`;
    const fast = download(world, path);
    if ((await fast.child.exited) !== 0) throw new Error("curl failed");
    const whole = await eventsIn(fast.file);
    if ((whole.match(/^data: x{9}$/gm) ?? []).length !== 1_000_000)
      throw new Violation("gap", "a stream of a million lines is not whole");
    const usualMs = quantile(await delaysOfAnother(world), 0.5);
    const beforeBytes = await medianBytes(api.pid);

    const stalled = download(world, path);
    while ((await stalled.sizeBytes()) === 0) await delay(5);
    stalled.child.kill("SIGSTOP");
    const slow = Array.from({ length: SLOW_CLIENTS - 1 }, () =>
      download(world, path, ["--limit-rate", "100K"]),
    );
    const delays = await delaysOfAnother(world);
    const grownBytes = (await medianBytes(api.pid)) - beforeBytes;
    for (const { sizeBytes } of [stalled, ...slow])
      if ((await sizeBytes()) > whole.length / 2) throw new Error("A slow client was not slow");
    if (grownBytes > SLOW_CLIENTS * SLOW_CLIENT_BYTES)
      throw new Error(`${SLOW_CLIENTS} slow clients cost ${Math.round(grownBytes / MIB)} MiB`);
    const lateMs = quantile(delays, 0.5);
    if (delays.length !== 30)
      throw new Violation("loss", `another client got ${delays.length} lines`);
    if (lateMs > Math.max(PROMPT_MS, 2 * usualMs))
      throw new Error(`Another client has its lines after ${lateMs} ms, not ${usualMs} ms`);

    stalled.child.kill("SIGCONT");
    await stalled.child.exited;
    if ((await eventsIn(stalled.file)) !== whole)
      throw new Violation("gap", "a client that stalled has not got every byte");
    for (const { child, file } of slow) {
      child.kill();
      await child.exited;
      if (!whole.startsWith(await eventsIn(file)))
        throw new Violation("gap", "what a slow client has got is not the log");
    }
  },
};

export const SLOW_CLIENT_ROWS: readonly Row[] = [slowClients];
