import { afterAll, beforeAll, expect, test } from "bun:test";

import { eventually } from "../contract/store-harness.ts";
import { submitPython } from "../support/client.ts";
import { removeDataDir, type RunningService, startService } from "../support/service.ts";

const MAX_STREAMS = 3;
const LARGE_BYTES = 15_000_000;

let service: RunningService;
let running: string;
let ended: string;
/** Of a job that has printed more than connections buffer. */
let large: string;
/** Of the end event of that stream. */
let endId: string;
beforeAll(async () => {
  const env = { MAX_STREAMS: String(MAX_STREAMS), WORKER_CONCURRENCY: "2", DRAIN_SEC: "0" };
  service = await startService({ env });
  const streamOf = ({ id }: { readonly id: string }) => `${service.url}/jobs/${id}/logs/stream`;
  running = streamOf(await submitPython(service.url, "import time\ntime.sleep(1000)\n"));
  ended = streamOf(await submitPython(service.url, "print('hello')\n"));
  large = streamOf(await submitPython(service.url, `print("x" * ${LARGE_BYTES - 1})\n`));
  await (await fetch(large)).text();
  endId = /^id: (\S+)\ndata: \{"status"/m.exec(await (await fetch(ended)).text())?.[1] ?? "";
}, 60_000);
afterAll(async () => {
  await service.stop();
  await removeDataDir(service.dataDir);
});

async function openCount(): Promise<number> {
  const stats = (await (await fetch(`${service.url}/stats`)).json()) as { sse_clients: number };
  return stats.sse_clients;
}

const snapshotOf = (stream: string) => stream.replace("/stream", "");
const untilOpen = (count: number) => eventually(openCount, (open) => open === count);
const cancelAll = (streams: readonly Response[]) =>
  Promise.all(streams.map(async ({ body }) => await body?.cancel()));

test("one stream too many is refused with a problem that says when to come back, all else is served", async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => fetch(running)));
  const [open, refused] = [200, 503].map((status) => answers.filter((a) => a.status === status));
  expect([open?.length, refused?.length]).toEqual([MAX_STREAMS, 20 - MAX_STREAMS]);
  expect(refused?.[0]?.headers.get("retry-after")).toBe("5");
  expect(await refused?.[0]?.json()).toMatchObject({
    code: "too_many_streams",
    status: 503,
    detail: expect.stringContaining("MAX_STREAMS is 3"),
  });
  expect(await openCount()).toBe(MAX_STREAMS);
  const snapshot = await fetch(snapshotOf(ended));
  expect([snapshot.status, await snapshot.json()]).toMatchObject([
    503,
    { code: "too_many_streams", title: "Too many clients read logs or wait" },
  ]);
  expect((await fetch(snapshotOf(ended).replace("/logs", ""))).status).toBe(200);
  // A client that has the end already needs no place to be told to stay away.
  expect((await fetch(ended, { headers: { "Last-Event-ID": endId } })).status).toBe(204);

  await cancelAll(open ?? []);
  await untilOpen(0);
  const again = await fetch(running);
  expect(again.status).toBe(200);
  expect(await (await fetch(snapshotOf(ended))).text()).toBe("hello\n");
  await cancelAll([again]);
  await untilOpen(0);
});

test("a snapshot gives its place back however it ends", async () => {
  for (let turn = 0; turn < 2 * MAX_STREAMS; turn += 1) {
    expect(await (await fetch(snapshotOf(large))).text()).toHaveLength(LARGE_BYTES);
    expect((await fetch(snapshotOf(large), { method: "HEAD" })).status).toBe(200);
    // The client is gone, before the answer or in the middle of it.
    const leaving = new AbortController();
    const gone = fetch(snapshotOf(large), { signal: leaving.signal });
    if (turn % 2 === 0) await gone;
    leaving.abort();
    await gone.then(({ body }) => body?.cancel()).catch(() => undefined);
    // All places are free again: as many streams as there may be can be opened.
    await eventually(
      async () => {
        const answers = await Promise.all(
          Array.from({ length: MAX_STREAMS }, () => fetch(running)),
        );
        await cancelAll(answers);
        await untilOpen(0);
        return answers;
      },
      (answers) => answers.every(({ status }) => status === 200),
    );
  }
});

test("a stream gives its place back however it ends", async () => {
  for (let turn = 0; turn < 2 * MAX_STREAMS; turn += 1) {
    // Read to its end.
    expect(await (await fetch(ended)).text()).toContain("event: end");
    // Asked about, and never begun.
    expect((await fetch(running, { method: "HEAD" })).status).toBe(200);
    // The client is gone, before the answer or after it.
    const leaving = new AbortController();
    const gone = fetch(running, { signal: leaving.signal });
    if (turn % 2 === 0) await gone;
    leaving.abort();
    await gone.then(({ body }) => body?.cancel()).catch(() => undefined);
    await untilOpen(0);
  }
});
