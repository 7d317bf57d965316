import { expect, test } from "bun:test";
import fc from "fast-check";

import { frameEvents, frameRestart, HEARTBEAT, RESET } from "../../src/api/sse.ts";
import type { EventSink, Piece } from "../../src/logs/events.ts";

const id = { epoch: 7, seq: 2, offset: 5 };
const note = { epoch: 7, seq: 2 };

const line = (text: string) => (sink: EventSink) => {
  // In the midst of other bytes.
  const bytes = Buffer.from(`<${text}>`);
  sink.line(id, { bytes, start: 1, end: bytes.length - 1 });
};

const piece = (stream: Piece["stream"], content: Uint8Array | string) => (sink: EventSink) => {
  const inner = Buffer.from(content);
  const bytes = Buffer.concat([Buffer.from("<"), inner, Buffer.from(">")]);
  const isText = typeof content === "string";
  sink.piece(id, { stream, bytes, start: 1, end: bytes.length - 1, isText });
};

const FRAMES: readonly (readonly [give: (sink: EventSink) => void, text: string])[] = [
  [line("hello"), "id: 7-2.5\ndata: hello\n\n"],
  [line(""), "id: 7-2.5\ndata: \n\n"],
  [line(" data: x: y"), "id: 7-2.5\ndata:  data: x: y\n\n"],
  [line("é😀".repeat(200)), `id: 7-2.5\ndata: ${"é😀".repeat(200)}\n\n`],
  [piece("stdout", "a\r\n\n"), 'id: 7-2.5\ndata: {"stream":"stdout","text":"a\\r\\n\\n"}\n\n'],
  [
    piece("stderr", new Uint8Array([255, 10])),
    'id: 7-2.5\ndata: {"stream":"stderr","b64":"/wo="}\n\n',
  ],
  [
    (sink) => sink.note({ ...note, kind: "attempt", attempt: 1, reason: null }),
    'event: attempt\nid: 7-2.0\ndata: {"attempt":1}\n\n',
  ],
  [
    (sink) => sink.note({ ...note, kind: "attempt", attempt: 2, reason: "worker_lost" }),
    'event: attempt\nid: 7-2.0\ndata: {"attempt":2,"reason":"worker_lost"}\n\n',
  ],
  [
    (sink) => sink.note({ ...note, kind: "gap", droppedBytes: 9 }),
    'event: gap\nid: 7-2.0\ndata: {"dropped_bytes":9}\n\n',
  ],
  [
    (sink) =>
      sink.note({
        ...note,
        kind: "end",
        end: { status: "failed", reason: "signal", exitCode: null, signal: "SIGSEGV" },
      }),
    'event: end\nid: 7-2.0\ndata: {"status":"failed","reason":"signal","exit_code":null,"signal":"SIGSEGV"}\n\n',
  ],
];

const framed = (give: (sink: EventSink) => void) => Buffer.from(frameEvents(give) ?? "").toString();

for (const [give, text] of FRAMES)
  test(`an event is framed as ${JSON.stringify(text).slice(0, 120)}`, () => {
    expect(framed(give)).toBe(text);
  });

test("all events of a step go out as one text", () => {
  const all = (sink: EventSink) => {
    for (const [give] of FRAMES) give(sink);
  };
  expect(framed(all)).toBe(FRAMES.map(([, text]) => text).join(""));
});

test("a step without an event is nothing", () => {
  expect(frameEvents(() => undefined)).toBeNull();
});

test("steps do not share their bytes, and each event has its own id", () => {
  const first = frameEvents((sink) => {
    line("one")(sink);
    sink.line({ epoch: 7, seq: 3, offset: 100_200 }, { bytes: Buffer.from("x"), start: 0, end: 1 });
    sink.line({ epoch: 8, seq: 3, offset: 10 }, { bytes: Buffer.from("y"), start: 0, end: 1 });
  });
  frameEvents(line("another step"));
  expect(Buffer.from(first ?? "").toString()).toBe(
    "id: 7-2.5\ndata: one\n\nid: 7-3.100200\ndata: x\n\nid: 8-3.10\ndata: y\n\n",
  );
});

test("text in JSON is written as JSON.stringify writes it, whatever it holds", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.string({
      unit: fc.constantFrom('"', "\\", "\n", "\r", "\0", "\x1f", "\x7f", "\u2028", "é"),
    }),
  );
  fc.assert(
    fc.property(text, (given) => {
      const json = JSON.stringify({ stream: "stdout", text: given });
      expect(framed(piece("stdout", given))).toBe(`id: 7-2.5\ndata: ${json}\n\n`);
    }),
    { numRuns: 1000 },
  );
});

test("a sink is full at 64 KiB, and has room for one event more, however long", () => {
  const bytes = new Uint8Array(64 * 1024);
  const long = { stream: "stdout", bytes, start: 0, end: bytes.length, isText: true } as const;
  let events = 0;
  const step = frameEvents((sink) => {
    while (!sink.isFull) {
      line("x".repeat(1000))(sink);
      events++;
    }
    sink.piece(id, long);
  });
  expect(events).toBe(65);
  expect(
    Buffer.from(step ?? "")
      .toString()
      .endsWith(`${"\\u0000".repeat(bytes.length)}"}\n\n`),
  ).toBe(true);
});

test("a heartbeat is a comment, and a reset an event without an id", () => {
  expect(HEARTBEAT).toMatch(/^: \w+\n\n$/);
  expect(RESET).toBe("event: reset\ndata: {}\n\n");
});

test("the last words of a server that stops spread its clients' return, and are no event", () => {
  const retryMs = [0, 0.5, 1].map((share) => {
    const [, ms] = /^retry: (\d+)\n: [\w ;]+\n\n$/.exec(frameRestart(share)) ?? [];
    return Number(ms);
  });
  expect(retryMs).toEqual([500, 1_500, 2_500]);
});
