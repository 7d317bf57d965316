import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { runPython, snapshot } from "../support/client.ts";
import { type Deployment, DEPLOYMENTS } from "../support/deployments.ts";

describe.each(DEPLOYMENTS)("parts of a log on $name", ({ start: startDeployment }) => {
  let deployment: Deployment;
  let url: string;
  let id: string;
  let whole: Buffer;
  beforeAll(async () => {
    deployment = await startDeployment();
    ({ url } = deployment.api);
    const source = `
import os, sys
for n in range(5000):
  os.write(1 + (n % 3 == 0), b"%d \\xc3\\xa9\\n" % n)
os.write(1, b"\\xff no end")
`;
    const { job } = await runPython(url, source);
    id = job.id;
    whole = await snapshot(url, id);
  }, 60_000);
  afterAll(() => deployment.stop());

  const get = (query: string, headers: Record<string, string> = {}) =>
    fetch(`${url}/jobs/${id}/logs${query}`, { headers });
  const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer());

  test("the last lines", async () => {
    const lines = whole.toString("latin1").match(/[^\n]*\n|[^\n]+$/g) ?? [];
    for (const tail of [1, 2, 1_000, 100_000]) {
      const text = (await bytesOf(await get(`?tail=${tail}`))).toString("latin1");
      expect(text).toBe(lines.slice(-tail).join(""));
    }
    const errors = await snapshot(url, id, "?stream=stderr");
    expect((await bytesOf(await get("?tail=1&stream=stderr"))).toString()).toBe(
      errors.toString().split("\n").at(-2) + "\n",
    );
  });

  test("a range of bytes, of all or of one stream", async () => {
    for (const query of ["", "?stream=stderr"]) {
      const all = query === "" ? whole : await snapshot(url, id, query);
      const { length } = all;
      for (const [range, start, end] of [
        ["bytes=0-9", 0, 10],
        [`bytes=${length - 7}-`, length - 7, length],
        ["bytes=-5", length - 5, length],
      ] as const) {
        const response = await get(query, { range });
        expect([response.status, response.headers.get("content-range")]).toEqual([
          206,
          `bytes ${start}-${end - 1}/${length}`,
        ]);
        expect((await bytesOf(response)).equals(all.subarray(start, end))).toBe(true);
      }
      expect((await get(query, { range: `bytes=${length}-` })).status).toBe(416);
    }
    expect((await get("", { range: "bytes=0-1", "if-range": '"x"' })).status).toBe(200);
  });

  test("events, one JSON object a line, lossless", async () => {
    const response = await get("?format=ndjson");
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    const lines = (await response.text()).trimEnd().split("\n");
    const events = lines.map((line) => JSON.parse(line) as Record<string, string>);
    expect(events[0]).toMatchObject({ event: "attempt", attempt: 1 });
    expect(events.at(-1)).toMatchObject({ event: "end", status: "succeeded" });
    const output = events
      .slice(1, -1)
      .map(({ text, b64 = "" }) =>
        text === undefined ? Buffer.from(b64, "base64") : Buffer.from(text),
      );
    expect(Buffer.concat(output).equals(whole)).toBe(true);
    // The stream goes on exactly after any of them.
    const from = events.at(-3)?.["id"] ?? "";
    const rest = await fetch(`${url}/jobs/${id}/logs/stream?format=json&last_event_id=${from}`);
    expect([...((await rest.text()).match(/^id: .*$/gm) ?? [])]).toEqual(
      events.slice(-2).map((event) => `id: ${event["id"]}`),
    );
  });

  test("bad queries name their field", async () => {
    for (const query of [
      "?tail=0",
      "?tail=x",
      "?tail=100001",
      "?format=xml",
      "?format=ndjson&tail=1",
    ])
      expect((await get(query)).status).toBe(422);
  });
});
