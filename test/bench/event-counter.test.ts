import { expect, test } from "bun:test";

import { createEventCounter } from "../../bench/event-counter.ts";

const LINES = Array.from(
  { length: 3 },
  (_, line) => `id: 1795490446191-1.${(line + 1) * 100}\ndata: ${`${line}`.padStart(99, "0")}\n\n`,
);
const END = `event: end\nid: 1795490446191-2.0\ndata: {"status":"succeeded","reason":null,"exit_code":0,"signal":null}\n\n`;
const STREAM = Buffer.from(
  `retry: 1500\n: ok\n\nevent: attempt\nid: 1795490446191-0.0\ndata: {"attempt":1}\n\n${LINES.join("")}${END}`,
);
/** The opening, the attempt, the lines and the end. */
const EVENTS = LINES.length + 3;

test("every event is counted once, wherever the stream is cut", () => {
  for (let cut = 0; cut <= STREAM.length; cut += 1) {
    const counter = createEventCounter();
    counter.take(STREAM.subarray(0, cut));
    counter.take(STREAM.subarray(cut));
    expect(() => counter.expect(EVENTS)).not.toThrow();
    expect(counter.elapsedMs()).toBeGreaterThanOrEqual(0);
  }
});

test("a line too few or too many is an error, and so is a stream without its end", () => {
  const counter = createEventCounter();
  counter.take(STREAM);
  expect(() => counter.expect(EVENTS - 1)).toThrow(`${EVENTS} events in place of ${EVENTS - 1}`);
  expect(() => counter.expect(EVENTS + 1)).toThrow();
  const cut = createEventCounter();
  cut.take(STREAM.subarray(0, -END.length));
  expect(() => cut.expect(EVENTS - 1)).toThrow();
});
