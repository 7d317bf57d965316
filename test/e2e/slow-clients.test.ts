import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { quantile } from "../../bench/measure.ts";
import { MIB } from "../../src/jobs/limits.ts";
import { eventually } from "../contract/store-harness.ts";
import { snapshot, submitPython, waitForEnd } from "../support/client.ts";
import { type RunningService, removeDataDir, startService } from "../support/service.ts";

/** What one slow client may cost the API, and how many there are: garbage that waits for its collector is no cost. */
const SLOW_CLIENT_BYTES = 8 * MIB;
const SLOW_CLIENTS = 10;
/** How late a line may be for somebody else who follows another job. */
const PROMPT_MS = 1_000;

let service: RunningService;
/** Of a job that has printed 10 MB in lines of ten bytes, which are 44 MB as a stream: far more than sockets hold. */
let bigStream: string;
beforeAll(async () => {
  service = await startService();
  const { id } = await submitPython(
    service.url,
    "import sys\nfor _ in range(1000): sys.stdout.write(('x' * 9 + '\\n') * 1000)\n",
  );
  await waitForEnd(service.url, id);
  expect((await snapshot(service.url, id)).length).toBe(10_000_000);
  bigStream = `${service.url}/jobs/${id}/logs/stream`;
}, 60_000);
afterAll(async () => {
  await service.stop();
  await removeDataDir(service.dataDir);
});

/** curl, into a file. A paused process reads nothing, whatever comes. */
function download(name: string, flags: readonly string[] = []) {
  const file = join(service.dataDir, "..", name);
  const child = Bun.spawn(["curl", "-sN", "-o", file, ...flags, bigStream]);
  const sizeBytes = async () => (await stat(file).catch(() => null))?.size ?? 0;
  return { file, child, sizeBytes };
}

/** The median resident memory of the service over a second. */
async function residentBytes(): Promise<number> {
  const samples: number[] = [];
  for (let sample = 0; sample < 50; sample += 1) {
    const status = readFileSync(`/proc/${service.pid}/status`, "utf8");
    samples.push(Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024);
    await delay(20);
  }
  return quantile(samples, 0.5);
}

/** Follows a job that prints the time, ten times a second; how late each line came. */
async function delaysOfAnother(): Promise<readonly number[]> {
  const { id } = await submitPython(
    service.url,
    "import time\nfor _ in range(30):\n  print(time.time() * 1000, flush=True)\n  time.sleep(0.1)\n",
  );
  const response = await fetch(`${service.url}/jobs/${id}/logs/stream`);
  const delays: number[] = [];
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? [])
    for (const [, printedAtMs] of chunk.matchAll(/^data: ([\d.]+)$/gm))
      delays.push(Date.now() - Number(printedAtMs));
  return delays;
}

test("clients that read slowly or not at all cost little memory and nobody's time, and miss nothing", async () => {
  const fast = download("fast");
  expect(await fast.child.exited).toBe(0);
  const whole = await readFile(fast.file);
  const before = await residentBytes();

  const stalled = download("stalled");
  await eventually(stalled.sizeBytes, (size) => size > 0);
  stalled.child.kill("SIGSTOP");
  const slow = Array.from({ length: SLOW_CLIENTS - 1 }, (_, index) =>
    download(`slow-${index}`, ["--limit-rate", "1M"]),
  );
  const delays = await delaysOfAnother();
  const after = await residentBytes();
  // All are in the middle of it.
  for (const { sizeBytes } of [stalled, ...slow])
    expect(await sizeBytes()).toBeLessThan(whole.length / 2);
  expect((after - before) / SLOW_CLIENTS).toBeLessThan(SLOW_CLIENT_BYTES);
  expect(delays).toHaveLength(30);
  expect(Math.max(...delays)).toBeLessThan(PROMPT_MS);

  stalled.child.kill("SIGCONT");
  expect(await stalled.child.exited).toBe(0);
  expect((await readFile(stalled.file)).equals(whole)).toBe(true);
  for (const { child, file } of slow) {
    child.kill();
    await child.exited;
    const part = await readFile(file);
    expect(part.equals(whole.subarray(0, part.length))).toBe(true);
  }
}, 60_000);
