import { expect, test } from "bun:test";

import type { StreamName } from "../../src/jobs/log-entry.ts";
import { Intake } from "../../src/logs/intake.ts";

const KIB = 1024;

/** What waits, up to `maxBytes`, as `stream: text`. */
const take = (intake: Intake, maxBytes = 64 * KIB) =>
  intake.take(maxBytes).map(({ stream, bytes }) => `${stream}: ${Buffer.from(bytes).toString()}`);

const write = (intake: Intake, stream: StreamName, text: string) =>
  intake.write(stream, Buffer.from(text));

test("both streams wait in the order of their reads, each with whole characters", () => {
  const intake = new Intake(1_000);
  const euro = Buffer.from("€");
  intake.write("stdout", Buffer.concat([Buffer.from("1 "), euro.subarray(0, 2)]));
  write(intake, "stderr", "warning");
  expect(intake.byteLength).toBe(9);
  intake.write("stdout", euro.subarray(2));
  expect(take(intake)).toEqual(["stdout: 1 ", "stderr: warning", "stdout: €"]);
  intake.write("stdout", euro.subarray(0, 1));
  expect(intake.byteLength).toBe(0);
  // It will not be completed, and is output all the same.
  intake.endStream("stdout");
  expect(intake.take(1)[0]?.bytes).toEqual(new Uint8Array(euro.subarray(0, 1)));
});

test("past the cap all is dropped and counted, also what would fit after it: the log stays a prefix", () => {
  const intake = new Intake(5);
  write(intake, "stdout", "abc");
  write(intake, "stderr", "defg");
  write(intake, "stdout", "h");
  expect(take(intake)).toEqual(["stdout: abc", "stderr: de"]);
  expect(intake.droppedBytes).toBe(3);
});

test("what finds no room is counted with what waits behind it, and nothing more is taken", () => {
  const intake = new Intake(1_000);
  write(intake, "stdout", "abcdef");
  expect(take(intake, 2)).toEqual(["stdout: ab"]);
  intake.drop(2);
  write(intake, "stdout", "g");
  expect([intake.droppedBytes, intake.byteLength]).toEqual([7, 0]);
});

test("the program is held back once what waits and is under way takes a megabyte, or a thousand pieces wait", () => {
  const intake = new Intake(Number.MAX_SAFE_INTEGER);
  intake.write("stdout", new Uint8Array(64 * KIB));
  expect([intake.isFull(0), intake.isFull(959 * KIB), intake.isFull(960 * KIB)]).toEqual([
    false,
    false,
    true,
  ]);
  intake.clear();
  expect(intake.isFull(0)).toBe(false);
  for (let count = 0; count < 999; count++) write(intake, count % 2 ? "stdout" : "stderr", "x");
  expect(intake.isFull(0)).toBe(false);
  write(intake, "stdout", "x");
  expect(intake.isFull(0)).toBe(true);
});
