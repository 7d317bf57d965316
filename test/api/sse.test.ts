import { expect, test } from "bun:test";

import { frameRestart, frameStep } from "../../src/api/sse.ts";
import type { LogEvent } from "../../src/logs/events.ts";

const id = { epoch: 7, seq: 2, offset: 5 };

const FRAMES: readonly (readonly [event: LogEvent, text: string])[] = [
  [{ kind: "line", id, text: "hello" }, "id: 7-2.5\ndata: hello\n\n"],
  [{ kind: "line", id, text: "" }, "id: 7-2.5\ndata: \n\n"],
  [{ kind: "line", id, text: " data: x: y" }, "id: 7-2.5\ndata:  data: x: y\n\n"],
  [
    { kind: "piece", id, stream: "stdout", content: { text: "a\r\n\n" } },
    'id: 7-2.5\ndata: {"stream":"stdout","text":"a\\r\\n\\n"}\n\n',
  ],
  [
    { kind: "piece", id, stream: "stderr", content: { bytes: new Uint8Array([255, 10]) } },
    'id: 7-2.5\ndata: {"stream":"stderr","b64":"/wo="}\n\n',
  ],
  [
    { kind: "attempt", id, attempt: 1, reason: null },
    'event: attempt\nid: 7-2.5\ndata: {"attempt":1}\n\n',
  ],
  [
    { kind: "attempt", id, attempt: 2, reason: "worker_lost" },
    'event: attempt\nid: 7-2.5\ndata: {"attempt":2,"reason":"worker_lost"}\n\n',
  ],
  [{ kind: "gap", id, droppedBytes: 9 }, 'event: gap\nid: 7-2.5\ndata: {"dropped_bytes":9}\n\n'],
  [
    {
      kind: "end",
      id,
      end: { status: "failed", reason: "signal", exitCode: null, signal: "SIGSEGV" },
    },
    'event: end\nid: 7-2.5\ndata: {"status":"failed","reason":"signal","exit_code":null,"signal":"SIGSEGV"}\n\n',
  ],
];

for (const [event, text] of FRAMES)
  test(`${event.kind} is framed as ${JSON.stringify(text)}`, () => {
    expect(frameStep({ kind: "events", events: [event] })).toBe(text);
  });

test("all events of a step go out as one text", () => {
  const events = FRAMES.map(([event]) => event);
  expect(frameStep({ kind: "events", events })).toBe(FRAMES.map(([, text]) => text).join(""));
});

test("a heartbeat is a comment, and a reset an event without an id", () => {
  expect(frameStep({ kind: "heartbeat" })).toMatch(/^: \w+\n\n$/);
  expect(frameStep({ kind: "reset" })).toBe("event: reset\ndata: {}\n\n");
});

test("the last words of a server that stops spread its clients' return, and are no event", () => {
  const retryMs = [0, 0.5, 1].map((share) => {
    const [, ms] = /^retry: (\d+)\n: [\w ;]+\n\n$/.exec(frameRestart(share)) ?? [];
    return Number(ms);
  });
  expect(retryMs).toEqual([500, 1_500, 2_500]);
});
