import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { createConnection, createServer, type Socket } from "node:net";
import { EventSource } from "eventsource";

import { snapshot, submitPython, waitForEnd } from "../support/client.ts";
import { type Deployment, DEPLOYMENTS } from "../support/deployments.ts";

/** A wire to the service that cuts each of its first `cuts` connections after so many bytes, in mid-event or not. */
async function startCuttingWire(
  targetPort: number,
  { cuts, bytes }: { cuts: number; bytes: number },
) {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((client) => {
    const upstream = createConnection(targetPort, "127.0.0.1");
    let left = connections++ < cuts ? bytes : Number.POSITIVE_INFINITY;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      const end = () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      };
      socket.on("error", end);
      socket.on("close", end);
    }
    client.pipe(upstream);
    upstream.on("data", (chunk: Buffer) => {
      const part = chunk.subarray(0, left);
      left -= part.length;
      if (left > 0) client.write(part);
      else client.end(part);
    });
    upstream.on("end", () => client.end());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("No port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    connections: () => connections,
    async stop() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Reads a stream with an EventSource until that gives up for good. */
async function readToTheEnd(url: string) {
  const source = new EventSource(url);
  const lines: string[] = [];
  const ends: string[] = [];
  let breaks = 0;
  const closed = Promise.withResolvers<void>();
  source.addEventListener("message", ({ data }) => lines.push(String(data)));
  source.addEventListener("end", ({ data }) => ends.push(String(data)));
  // After `end` the server closes; the client comes back once, is told 204, and is closed.
  source.addEventListener("error", () => {
    breaks++;
    if (source.readyState === source.CLOSED) closed.resolve();
  });
  await closed.promise;
  return { lines, ends, breaks };
}

const RETRY_MS = 1500;

describe.each(DEPLOYMENTS)("streams on $name", ({ start }) => {
  let deployment: Deployment;
  let url: string;
  beforeAll(async () => {
    deployment = await start({ HEARTBEAT_SEC: "1" });
    ({ url } = deployment.api);
  }, 60_000);
  afterAll(() => deployment.stop());

  test(
    "an EventSource that is cut ten times gets every line once, then `end` once, and stays away",
    async () => {
      const total = 5000;
      const { id } = await submitPython(
        url,
        `
import sys, time
for i in range(${total}):
    print(f"line {i} é😀", file=sys.stdout if i % 3 else sys.stderr, flush=True)
    if i % 250 == 0: time.sleep(0.8)
`,
      );
      const port = Number(new URL(url).port);
      const wire = await startCuttingWire(port, { cuts: 10, bytes: 20_011 });
      const { lines, ends, breaks } = await readToTheEnd(`${wire.url}/jobs/${id}/logs/stream`);
      const whole = (await snapshot(url, id)).toString();
      expect(lines.length).toBe(total);
      expect(`${lines.join("\n")}\n`).toBe(whole);
      expect(ends.map((end) => JSON.parse(end).status)).toEqual(["succeeded"]);
      // Ten cuts, the server's own close after `end`, and the 204 that it was told then (on the same connection or one more).
      expect(breaks).toBe(12);
      expect(wire.connections()).toBeGreaterThanOrEqual(11);
      await wire.stop();
    },
    60_000 + 12 * RETRY_MS,
  );

  test("what a program prints forges no event", async () => {
    const { id } = await submitPython(
      url,
      String.raw`
import sys
sys.stdout.write("\n\nevent: end\ndata: {}\n\n")
sys.stdout.write("\rdata: x\r\nid: 1-2.3\nretry: 1\n: c\n")
sys.stdout.write("no newline at the end")
`,
    );
    const job = await waitForEnd(url, id);
    const stream = await (await fetch(`${url}/jobs/${id}/logs/stream`)).text();
    expect(stream.match(/^event: .*$/gm)).toEqual(["event: attempt", "event: end"]);
    expect(stream.match(/^retry: .*$/gm)).toEqual(["retry: 1500"]);
    expect(stream.match(/^data: .*$/gm)).toEqual([
      'data: {"attempt":1}',
      "data: ",
      "data: ",
      "data: event: end",
      "data: data: {}",
      "data: ",
      "data: ",
      "data: data: x",
      "data: id: 1-2.3",
      "data: retry: 1",
      "data: : c",
      "data: no newline at the end",
      'data: {"status":"succeeded","reason":null,"exit_code":0,"signal":null}',
    ]);
    expect(job.status).toBe("succeeded");
  });

  test("bytes of every kind come back exactly, and as JSON pieces", async () => {
    const { id } = await submitPython(
      url,
      String.raw`
import os, time
emoji = "\U0001F600".encode()
for byte in emoji:
    os.write(1, bytes([byte])); time.sleep(0.02)
os.write(2, b"\xff\xfe\x80 broken \xf0\x9f\n")
os.write(1, bytes(range(256)) * 4)
os.write(1, b"\xef\xbb\xbfBOM\r\nlast \xe2\x82")
`,
    );
    await waitForEnd(url, id);
    const stdout = Buffer.concat([
      Buffer.from("😀"),
      ...Array.from({ length: 4 }, () => Buffer.from(Array.from({ length: 256 }, (_, i) => i))),
      Buffer.from("\ufeffBOM\r\nlast "),
      Buffer.from([0xe2, 0x82]),
    ]);
    expect((await snapshot(url, id, "?stream=stdout")).toString("latin1")).toBe(
      stdout.toString("latin1"),
    );
    expect((await snapshot(url, id, "?stream=stderr")).toString("latin1")).toBe(
      "\xff\xfe\x80 broken \xf0\x9f\n",
    );
    const stream = await (await fetch(`${url}/jobs/${id}/logs/stream?format=json`)).text();
    const pieces = [...stream.matchAll(/^data: (\{"stream".*)$/gm)].map(
      ([, data = ""]) => JSON.parse(data) as { stream: string; text?: string; b64?: string },
    );
    const bytes = pieces.map(({ text, b64 }) =>
      Buffer.from(text ?? b64 ?? "", text === undefined ? "base64" : "utf8"),
    );
    expect(Buffer.concat(bytes).equals(await snapshot(url, id))).toBe(true);
  });

  test("a position that is not the log's is answered with a reset and the whole attempt", async () => {
    const { id } = await submitPython(url, "print('only line')");
    await waitForEnd(url, id);
    const read = async (lastEventId: string) => {
      const headers = { "Last-Event-ID": lastEventId };
      const response = await fetch(`${url}/jobs/${id}/logs/stream`, { headers });
      return { status: response.status, text: await response.text() };
    };
    const whole = (await read("")).text;
    const [endId = ""] = /\d+-\d+\.\d+(?=\ndata: \{"status")/.exec(whole) ?? [];
    const [epoch = ""] = endId.split("-");
    expect(await read("not an id")).toEqual({ status: 200, text: whole });
    const withReset = whole.replace(": ok\n\n", ": ok\n\nevent: reset\ndata: {}\n\n");
    for (const position of [
      `${epoch}-99.0`,
      `${epoch}-1.9999`,
      `${Number(epoch) + 5}-1.0`,
      "1-1.1",
    ])
      expect(await read(position)).toEqual({ status: 200, text: withReset });
    expect(await read(endId)).toEqual({ status: 204, text: "" });
  });

  test("a quiet stream carries heartbeats, and an unfinished line waits only in plain mode", async () => {
    const { id } = await submitPython(
      url,
      "import sys, time\nsys.stdout.write('50%'); sys.stdout.flush(); time.sleep(2.5); print(' done')\n",
    );
    const [plain, json] = await Promise.all(
      ["", "?format=json"].map(async (query) =>
        (await fetch(`${url}/jobs/${id}/logs/stream${query}`)).text(),
      ),
    );
    expect(plain).toMatch(/: heartbeat\n\n(.|\n)*data: 50% done\n/);
    expect(json).toMatch(/data: \{"stream":"stdout","text":"50%"\}\n\n(.|\n)*: heartbeat\n/);
  });
});
