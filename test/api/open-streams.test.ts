import { expect, test } from "bun:test";

import { OpenStreams } from "../../src/api/open-streams.ts";

test("a stream counts until it is over, once however often that is said", () => {
  const streams = new OpenStreams(10);
  const leave = streams.enter();
  streams.enter();
  expect(streams.count).toBe(2);
  leave();
  leave();
  expect(streams.count).toBe(1);
});

test("there are so many places, and one that is left can be taken again", () => {
  const streams = new OpenStreams(2);
  streams.enter();
  const leave = streams.enter();
  const refusal = expect.objectContaining({ code: "too_many_streams" });
  expect(() => streams.enter()).toThrow(refusal);
  expect(streams.count).toBe(2);
  leave();
  streams.enter();
  expect(() => streams.enter()).toThrow(refusal);
});
