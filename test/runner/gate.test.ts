import { expect, test } from "bun:test";

import { createGate } from "../../src/runner/gate.ts";

const never = new AbortController().signal;

test("whoever waits goes on when it opens, and waits again once it is closed", async () => {
  const gate = createGate();
  const seen: string[] = [];
  const first = gate.opened(never).then(() => seen.push("first"));
  seen.push("closed");
  expect(gate.isOpen()).toBe(false);
  gate.open();
  gate.open();
  await first;
  await gate.opened(never);
  expect(gate.isOpen()).toBe(true);
  gate.close();
  gate.close();
  expect(gate.isOpen()).toBe(false);
  const second = gate.opened(never).then(() => seen.push("second"));
  seen.push("closed again");
  gate.open();
  await second;
  expect(seen).toEqual(["closed", "first", "closed again", "second"]);
});

test("a signal ends the wait, before it and during it", async () => {
  const gate = createGate();
  await gate.opened(AbortSignal.abort());
  const aborting = new AbortController();
  const waiting = gate.opened(aborting.signal);
  aborting.abort();
  await waiting;
});
