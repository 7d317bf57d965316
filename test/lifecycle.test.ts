import { describe, expect, test } from "bun:test";

import { orNull, pause, repeat, type Service, startAll } from "../src/lifecycle.ts";
import { recordedLog } from "./support/recorded-log.ts";

function recorded(name: string, log: string[], stop?: () => Promise<void>): Service {
  return {
    name,
    async start() {
      log.push(`start ${name}`);
    },
    async stop() {
      log.push(`stop ${name}`);
      await stop?.();
    },
  };
}

describe("startAll", () => {
  test("stops in the opposite order", async () => {
    const log: string[] = [];
    const stop = await startAll([recorded("a", log), recorded("b", log)], recordedLog().log);
    await stop(1_000);
    expect(log).toEqual(["start a", "start b", "stop b", "stop a"]);
  });

  test("a service that hangs or fails on stop keeps no other from being stopped, and is logged", async () => {
    const log: string[] = [];
    const { log: serviceLog, lines } = recordedLog();
    const hangs = recorded("hangs", log, () => new Promise(() => undefined));
    const fails = recorded("fails", log, () => Promise.reject(new Error("no")));
    const stop = await startAll([recorded("a", log), fails, hangs], serviceLog);
    await stop(20);
    expect(log.slice(3)).toEqual(["stop hangs", "stop fails", "stop a"]);
    // The one that hung has used up the time; the others are stopped all the same, and not logged.
    expect(lines.map(({ level, event, message }) => [level, event, message])).toEqual([
      ["warn", "stop_incomplete", "The hangs did not stop in time."],
      ["error", "stop_incomplete", "The fails failed to stop: no"],
    ]);
  });

  test("a service that does not start takes the earlier ones down with it", async () => {
    const log: string[] = [];
    const broken = {
      ...recorded("broken", log),
      start: () => Promise.reject(new Error("not today")),
    };
    const starting = startAll([recorded("a", log), broken, recorded("c", log)], recordedLog().log);
    await expect(starting).rejects.toThrow("not today");
    expect(log).toEqual(["start a", "stop broken", "stop a"]);
  });
});

test("pause ends early when its signal fires, also one that has fired", async () => {
  const stopping = new AbortController();
  const waiting = pause(1_000_000, stopping.signal);
  stopping.abort();
  await waiting;
  await pause(1_000_000, stopping.signal);
});

test("repeat goes on after a step that throws, and ends with its signal", async () => {
  const stopping = new AbortController();
  const errors: unknown[] = [];
  let steps = 0;
  await repeat(
    async () => {
      steps++;
      if (steps === 1) throw new Error("first");
      if (steps === 3) stopping.abort();
    },
    { intervalMs: 1, signal: stopping.signal, onError: (error) => errors.push(error) },
  );
  expect([steps, errors.map(String)]).toEqual([3, ["Error: first"]]);
});

test("orNull gives what came in time, and null for what failed or is late", async () => {
  expect(await orNull(Promise.resolve(7), 1_000_000)).toBe(7);
  expect(await orNull(Promise.reject(new Error("no")), 1_000_000)).toBeNull();
  expect(await orNull(new Promise<never>(() => undefined), 5)).toBeNull();
});
