import { expect, test } from "bun:test";

import { OpenStreams } from "../../src/api/open-streams.ts";

const NEVER = new AbortController().signal;
const refusal = expect.objectContaining({ code: "too_many_streams" });
const newStop = () => new AbortController();

test("a stream counts until it is over, once however often that is said", () => {
  const streams = new OpenStreams(10, NEVER);
  const stop = newStop();
  streams.enter(stop, null);
  streams.enter(newStop(), null);
  expect(streams.count).toBe(2);
  streams.leave(stop);
  streams.leave(stop);
  expect(streams.count).toBe(1);
});

test("there are so many places, and one that is left can be taken again", () => {
  const streams = new OpenStreams(2, NEVER);
  const stop = newStop();
  streams.enter(stop, null);
  streams.enter(newStop(), null);
  expect(() => streams.enter(newStop(), null)).toThrow(refusal);
  expect(streams.count).toBe(2);
  streams.leave(stop);
  streams.enter(newStop(), null);
  expect(() => streams.enter(newStop(), null)).toThrow(refusal);
});

test("requests that wait or read a log as it is take the same places, and are no streams", () => {
  const streams = new OpenStreams(2, NEVER);
  const stop = newStop();
  streams.enter(stop, null);
  const leaveRequest = streams.enterRequest(null);
  expect(() => streams.enterRequest(null)).toThrow(refusal);
  expect(() => streams.enter(newStop(), null)).toThrow(refusal);
  expect(streams.count).toBe(1);
  leaveRequest();
  leaveRequest();
  streams.enter(newStop(), null);
  expect(() => streams.enterRequest(null)).toThrow(refusal);
  streams.leave(stop);
  streams.enterRequest(null);
  expect(streams.count).toBe(1);
});

test("when the process closes every stream that is open is told to stop, and one that comes later at once", () => {
  const closing = new AbortController();
  const streams = new OpenStreams(10, closing.signal);
  const [open, over, late] = [newStop(), newStop(), newStop()];
  streams.enter(open, null);
  streams.enter(over, null);
  streams.leave(over);
  closing.abort();
  streams.enter(late, null);
  expect([open, over, late].map(({ signal }) => signal.aborted)).toEqual([true, false, true]);
});

test("one API key takes half of the places, and the others are for the others", () => {
  const streams = new OpenStreams(5, NEVER);
  const stop = newStop();
  streams.enter(stop, "greedy");
  streams.enterRequest("greedy");
  const leave = streams.enterRequest("greedy");
  expect(() => streams.enter(newStop(), "greedy")).toThrow(refusal);
  expect(streams.tryEnterRequest("greedy")).toBeNull();
  streams.enter(newStop(), "other");
  streams.leave(stop);
  streams.leave(stop);
  leave();
  streams.enter(newStop(), "greedy");
  streams.enterRequest("greedy");
  expect(() => streams.enterRequest("greedy")).toThrow(refusal);
  streams.enterRequest(null);
  expect(() => streams.enterRequest(null)).toThrow(refusal);
});
