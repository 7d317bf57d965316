import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { type FollowOptions, followLog, type LogEvent } from "../../src/client/follow-log.ts";
import { getJob, submitPython } from "../support/client.ts";
import { freePort } from "../support/redis-server.ts";
import { removeDataDir, type RunningService, startService } from "../support/service.ts";

let service: RunningService;

beforeAll(async () => {
  service = await startService();
}, 30_000);

afterAll(async () => {
  await service.stop();
  await removeDataDir(service.dataDir);
});

const LINES = Array.from({ length: 200 }, (_, index) => `line ${index}`);
const PRINT_LINES = "for i in range(200): print(f'line {i}', flush=True)";

async function follow(
  url: string,
  id: string,
  options: FollowOptions = {},
): Promise<readonly LogEvent[]> {
  return await Array.fromAsync(followLog(url, id, options));
}

const dataOf = (events: readonly LogEvent[], name = "message") =>
  events.filter((event) => event.name === name).map(({ data }) => data);

/**
 * A server that hands on to the real one, and breaks each stream after so many bytes, wherever in an event that is. It asks
 * for its clients back at once.
 */
function startBreaker(bytesPerConnection: number) {
  let connections = 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      const headers = new Headers(request.headers);
      headers.delete("host");
      const answer = await fetch(service.url + pathname + search, { headers });
      connections += 1;
      let left = bytesPerConnection;
      const cut = new TransformStream<Uint8Array, Uint8Array>({
        start(controller) {
          controller.enqueue(new TextEncoder().encode("retry: 1\n\n"));
        },
        transform(chunk, controller) {
          const text = new TextDecoder().decode(chunk).replace("retry: 1500\n", "");
          const bytes = new TextEncoder().encode(text);
          controller.enqueue(bytes.subarray(0, left));
          left -= bytes.length;
          if (left <= 0) controller.terminate();
        },
      });
      const { status } = answer;
      return new Response(status === 204 ? null : (answer.body?.pipeThrough(cut) ?? null), {
        status,
        headers: answer.headers,
      });
    },
  });
  return {
    url: server.url.origin,
    connections: () => connections,
    [Symbol.dispose]: () => void server.stop(true),
  };
}

describe("following a log", () => {
  test("gives each line, and ends with the end", async () => {
    const { id } = await submitPython(service.url, PRINT_LINES);
    const events = await follow(service.url, id);
    expect(dataOf(events)).toEqual(LINES);
    expect(events[0]).toMatchObject({ name: "attempt", data: '{"attempt":1}' });
    expect(JSON.parse(events.at(-1)?.data ?? "")).toMatchObject({ status: "succeeded" });
    expect((await getJob(service.url, id)).status).toBe("succeeded");
  });

  test.each([700, 1_001, 4_096])("loses nothing when it breaks every %d bytes", async (bytes) => {
    using breaker = startBreaker(bytes);
    const { id } = await submitPython(service.url, PRINT_LINES);
    const events = await follow(breaker.url, id);
    expect(dataOf(events)).toEqual(LINES);
    expect(dataOf(events, "end")).toHaveLength(1);
    expect(breaker.connections()).toBeGreaterThan(1);
  });

  test("goes on after an event that was had before", async () => {
    const { id } = await submitPython(service.url, PRINT_LINES);
    const events = await follow(service.url, id);
    const place = events.findIndex(({ data }) => data === "line 150");
    const lastEventId = events[place]?.id ?? "";
    expect(await follow(service.url, id, { lastEventId })).toEqual(events.slice(place + 1));
    const end = events.at(-1)?.id ?? "";
    expect(await follow(service.url, id, { lastEventId: end })).toEqual([]);
  });

  test("may be of one stream, and lossless", async () => {
    const source = "import sys\nprint('out')\nsys.stderr.write('no end')\n";
    const { id } = await submitPython(service.url, source);
    const events = await follow(service.url, id, { stream: "stderr", format: "json" });
    expect(dataOf(events).map((data) => JSON.parse(data) as object)).toEqual([
      { stream: "stderr", text: "no end" },
    ]);
  });

  test("is over when its signal fires", async () => {
    const { id } = await submitPython(service.url, "import time\nprint('up')\ntime.sleep(60)");
    const stop = new AbortController();
    const seen: string[] = [];
    const following = async () => {
      for await (const { data } of followLog(service.url, id, { signal: stop.signal })) {
        seen.push(data);
        if (data === "up") stop.abort();
      }
    };
    await expect(following()).rejects.toThrow("abort");
    expect(seen.at(-1)).toBe("up");
    await fetch(`${service.url}/jobs/${id}/cancel`, { method: "POST" });
  });
});

describe("what cannot be followed says why", () => {
  test("a job that is not there", async () => {
    const id = "00000000-0000-4000-8000-000000000000";
    await expect(follow(service.url, id)).rejects.toThrow("not_found");
  });

  test("a server that is not there", async () => {
    const nowhere = `http://127.0.0.1:${await freePort()}`;
    await expect(follow(nowhere, "x")).rejects.toThrow();
  });
});
