import { expect, test } from "bun:test";

import { OpenStreams } from "../../src/api/open-streams.ts";

const NEVER = new AbortController().signal;
const refusal = expect.objectContaining({ code: "too_many_streams" });
const newStop = () => new AbortController();

test("a stream counts until it is over, once however often that is said", () => {
  const streams = new OpenStreams(10, NEVER);
  const stop = newStop();
  streams.enter(stop);
  streams.enter(newStop());
  expect(streams.count).toBe(2);
  streams.leave(stop);
  streams.leave(stop);
  expect(streams.count).toBe(1);
});

test("there are so many places, and one that is left can be taken again", () => {
  const streams = new OpenStreams(2, NEVER);
  const stop = newStop();
  streams.enter(stop);
  streams.enter(newStop());
  expect(() => streams.enter(newStop())).toThrow(refusal);
  expect(streams.count).toBe(2);
  streams.leave(stop);
  streams.enter(newStop());
  expect(() => streams.enter(newStop())).toThrow(refusal);
});

test("requests that wait or read a log as it is take the same places, and are no streams", () => {
  const streams = new OpenStreams(2, NEVER);
  const stop = newStop();
  streams.enter(stop);
  const leaveRequest = streams.enterRequest();
  expect(() => streams.enterRequest()).toThrow(refusal);
  expect(() => streams.enter(newStop())).toThrow(refusal);
  expect(streams.count).toBe(1);
  leaveRequest();
  leaveRequest();
  streams.enter(newStop());
  expect(() => streams.enterRequest()).toThrow(refusal);
  streams.leave(stop);
  streams.enterRequest();
  expect(streams.count).toBe(1);
});

test("when the process closes every stream that is open is told to stop, and one that comes later at once", () => {
  const closing = new AbortController();
  const streams = new OpenStreams(10, closing.signal);
  const [open, over, late] = [newStop(), newStop(), newStop()];
  streams.enter(open);
  streams.enter(over);
  streams.leave(over);
  closing.abort();
  streams.enter(late);
  expect([open, over, late].map(({ signal }) => signal.aborted)).toEqual([true, false, true]);
});
