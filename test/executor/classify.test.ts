import { constants } from "node:os";
import { expect, test } from "bun:test";

import { classify, signalName } from "../../src/executor/classify.ts";
import type { GuestExit } from "../../src/sandbox/sandbox.ts";
import { guestExit } from "../support/sandbox-status.ts";

const { SIGKILL, SIGSEGV, SIGXCPU, SIGXFSZ } = constants.signals;
const limits = {
  memoryBytes: 1,
  cpuSec: 2,
  processes: 1,
  diskBytes: 1,
  outputBytes: 1,
};
const exited = (exitCode: number, met: Partial<GuestExit> = {}) => guestExit({ exitCode, ...met });
const killed = (signalNumber: number, cpuMs = 10, met: Partial<GuestExit> = {}) =>
  guestExit({ exitCode: null, signalNumber, cpuMs, ...met });

test.each([
  ["exit 0", exited(0), null, "succeeded", null, 0, null],
  ["exit 1", exited(1), null, "failed", "exit_code", 1, null],
  ["exit 137, which is not SIGKILL", exited(137), null, "failed", "exit_code", 137, null],
  ["SIGSEGV", killed(SIGSEGV), null, "failed", "signal", null, "SIGSEGV"],
  ["SIGKILL by itself", killed(SIGKILL), null, "failed", "signal", null, "SIGKILL"],
  [
    "SIGKILL at the CPU limit",
    killed(SIGKILL, 2000),
    null,
    "timed_out",
    "cpu_limit",
    null,
    "SIGKILL",
  ],
  [
    "SIGXCPU, by the kernel's count of ticks",
    killed(SIGXCPU, 1850),
    null,
    "timed_out",
    "cpu_limit",
    null,
    "SIGXCPU",
  ],
  ["SIGXCPU by itself", killed(SIGXCPU), null, "failed", "signal", null, "SIGXCPU"],
  [
    "the kernel's choice when memory ran out",
    killed(SIGKILL, 10, { oom: true, limitsMet: ["memory", "processes"] }),
    null,
    "failed",
    "memory_limit",
    null,
    "SIGKILL",
  ],
  [
    "a parent whose child ran out of memory, and which gave up",
    exited(1, { oom: true, limitsMet: ["memory"] }),
    null,
    "failed",
    "memory_limit",
    1,
    null,
  ],
  [
    "a parent whose child ran out of memory, and which did not mind",
    exited(0, { oom: true, limitsMet: ["memory"] }),
    null,
    "succeeded",
    null,
    0,
    null,
  ],
  [
    "too many processes",
    exited(1, { limitsMet: ["processes"] }),
    null,
    "failed",
    "process_limit",
    1,
    null,
  ],
  ["a full disk", exited(1, { limitsMet: ["disk"] }), null, "failed", "disk_limit", 1, null],
  [
    "ended for the CPU time of all processes, whatever it said",
    killed(SIGKILL, 10, { endedFor: "cpu" }),
    null,
    "timed_out",
    "cpu_limit",
    null,
    "SIGKILL",
  ],
  [
    "ended for memory although it exited with 0 meanwhile",
    exited(0, { endedFor: "memory", oom: true }),
    null,
    "failed",
    "memory_limit",
    0,
    null,
  ],
  ["SIGXFSZ by itself", killed(SIGXFSZ), null, "failed", "signal", null, "SIGXFSZ"],
  [
    "our stop at the time limit",
    killed(SIGKILL),
    "timeout",
    "timed_out",
    "wall_limit",
    null,
    "SIGKILL",
  ],
  ["our stop on request", killed(SIGKILL), "cancelled", "cancelled", "cancelled", null, "SIGKILL"],
  [
    "a stop that the sandbox did not survive",
    null,
    "timeout",
    "timed_out",
    "wall_limit",
    null,
    null,
  ],
] as const)("%s", (_name, exit, stopped, status, reason, exitCode, signal) => {
  expect(classify({ exit, stopped, failure: "", limits })).toEqual({
    status,
    reason,
    exitCode,
    signal,
    error: null,
  });
});

test("a broken sandbox is its own reason, with its words", () => {
  expect(classify({ exit: null, stopped: null, failure: "bwrap: no", limits })).toEqual({
    status: "failed",
    reason: "sandbox_error",
    exitCode: null,
    signal: null,
    error: "bwrap: no",
  });
});

test("a signal without a name is named by its number", () => {
  expect([signalName(SIGSEGV), signalName(40)]).toEqual(["SIGSEGV", "SIG40"]);
});
