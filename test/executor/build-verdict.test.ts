import { constants } from "node:os";

import { expect, test } from "bun:test";

import { type BuildTool, buildVerdict } from "../../src/executor/build-verdict.ts";
import type { GuestExit } from "../../src/sandbox/sandbox.ts";
import { DEFAULT_LIMITS } from "../support/guests.ts";

const TOOL: BuildTool = {
  stream: "compiler",
  reason: "compile_error",
  timeoutVariable: "COMPILE_TIMEOUT_SEC",
  refusal: "refused the program; the log says why",
  nothing: null,
  usage: "compileUsage",
};
const EXIT: GuestExit = {
  exitCode: 0,
  signalNumber: null,
  cpuMs: 10,
  peakMemoryBytes: null,
  oom: false,
  endedFor: null,
  limitsMet: [],
};

function verdict(exit: Partial<GuestExit> | null, stopped: "timeout" | "cancelled" | null = null) {
  return buildVerdict(TOOL, {
    exit: exit === null ? null : { ...EXIT, ...exit },
    stopped,
    failure: "The sandbox broke",
    limits: DEFAULT_LIMITS,
    timeoutSec: 7,
  });
}

test("a compiler that did its work is no end of the job, whatever it met", () => {
  expect(verdict({})).toBeNull();
  expect(verdict({ limitsMet: ["disk"] })).toBeNull();
});

test("a compiler that fails is the job's end, with its exit code and no usage", () => {
  expect(verdict({ exitCode: 1 })).toMatchObject({
    status: "failed",
    reason: "compile_error",
    exitCode: 1,
    signal: null,
    oom: false,
    usage: null,
    artifacts: [],
    error: "The compiler refused the program; the log says why.",
  });
});

test.each([
  ["7 seconds (this server's COMPILE_TIMEOUT_SEC)", { exitCode: null, signalNumber: 9 }, "timeout"],
  ["7 seconds of CPU time", { exitCode: null, endedFor: "cpu" }, null],
  [
    "out of memory, of which it had 512 MiB (limits.memory_mb)",
    { exitCode: 1, limitsMet: ["memory"] },
    null,
  ],
  [
    "out of disk, of which it had 256 MiB (limits.disk_mb)",
    { exitCode: 1, limitsMet: ["disk"] },
    null,
  ],
  ["out of processes, of which it had 64", { exitCode: 1, limitsMet: ["processes"] }, null],
  ["ended by SIGSEGV", { exitCode: null, signalNumber: constants.signals.SIGSEGV }, null],
] as const)("says of its limit: %s", (words, exit, stopped) => {
  const outcome = verdict(exit, stopped);
  expect(outcome).toMatchObject({ status: "failed", reason: "compile_error" });
  expect(outcome!.error).toStartWith("The compiler ");
  expect(outcome!.error).toContain(words);
});

test("a cancelled job and a broken sandbox are told as in a run", () => {
  expect(verdict({ exitCode: null, signalNumber: 9 }, "cancelled")).toMatchObject({
    status: "cancelled",
    reason: "cancelled",
    error: null,
  });
  expect(verdict(null)).toMatchObject({
    status: "failed",
    reason: "sandbox_error",
    error: "The sandbox broke",
  });
});
