import { expect, test } from "bun:test";

import { MIB } from "../../src/jobs/limits.ts";
import { encodeGo, encodeJob, encodeWait } from "../../src/sandbox/guest-input.ts";
import { DEFAULT_LIMITS, shellRequest, textInput } from "../support/guests.ts";

/** Undoes the framing: type and payload of each record. */
async function records(
  request: Parameters<typeof encodeJob>[0],
  env: Parameters<typeof encodeJob>[1],
  isHeldAsWhole = false,
): Promise<readonly [string, string][]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of encodeJob(request, env, isHeldAsWhole)) chunks.push(chunk);
  return recordsIn(Buffer.concat(chunks));
}

function recordsIn(bytes: Buffer): readonly [string, string][] {
  const found: [string, string][] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32BE(at + 1);
    found.push([
      bytes.toString("latin1", at, at + 1),
      bytes.toString("utf8", at + 5, at + 5 + length),
    ]);
    at += 5 + length;
  }
  return found;
}

test("a job in order: limits, argv, environment, files, stdin", async () => {
  const request = shellRequest("", {
    argv: ["/bin/x", "a b"],
    inputs: [
      textInput("d/f", "data"),
      textInput("empty", ""),
      { ...textInput("program", "#!"), isExecutable: true },
    ],
    outputsBelow: "made",
    noOutputsBelow: "given",
    stdin: Buffer.from("in"),
    memoryReserveBytes: MIB,
  });
  expect(await records(request, { A: "1" })).toEqual([
    ["O", `as=${513 * MIB}`],
    ["O", "nproc=65"],
    ["O", "cpu=60"],
    ["O", `fsize=${256 * MIB}`],
    ["O", `output=${256 * MIB}`],
    ["O", "inodes=65536"],
    ["A", "/bin/x"],
    ["A", "a b"],
    ["V", "A=1"],
    ["C", "made"],
    ["K", "given"],
    ["F", "d/f"],
    ["D", "data"],
    ["F", "empty"],
    ["X", "program"],
    ["D", "#!"],
    ["I", ""],
    ["D", "in"],
  ]);
});

test("an interpreter that waits is started with its own environment, and told to go by another letter", async () => {
  const interpreter = { argv: ["/bin/x", "main.x"], env: { A: "2" } };
  expect(recordsIn(Buffer.from(encodeWait(interpreter, { A: "1", B: "b" })))).toEqual([
    ["a", "/bin/x"],
    ["a", "main.x"],
    ["v", "A=2"],
    ["v", "B=b"],
    ["W", ""],
  ]);
  expect(recordsIn(Buffer.from(encodeWait(undefined, {})))).toEqual([["W", ""]]);
  expect(recordsIn(Buffer.from(encodeGo(true)))).toEqual([["H", ""]]);
  expect(recordsIn(Buffer.from(encodeGo(false)))).toEqual([["G", ""]]);
});

test("the memory limit is put where the runtime can live with it", async () => {
  const names = async (memoryLimit: "data" | "none", isHeldAsWhole = false) =>
    (await records(shellRequest("", { memoryLimit }), {}, isHeldAsWhole))
      .filter(([type]) => type === "O")
      .map(([, option]) => option.split("=")[0]);
  expect(await names("data")).toEqual(["data", "nproc", "cpu", "fsize", "output", "inodes"]);
  expect(await names("none")).toEqual(["nproc", "cpu", "fsize", "output", "inodes"]);
  expect(await names("data", true)).toEqual(["cpu", "fsize", "output", "inodes"]);
});

test("parts of a second of CPU are rounded up, and what is no limit is refused", async () => {
  const limits = { ...DEFAULT_LIMITS, cpuSec: 1.2 };
  expect(await records(shellRequest("", { limits }), {})).toContainEqual(["O", "cpu=2"]);
  for (const diskBytes of [0, Number.NaN, -1, 1.5, Infinity]) {
    const bad = shellRequest("", { limits: { ...DEFAULT_LIMITS, diskBytes } });
    expect(await records(bad, {}).catch(String)).toContain("The limit fsize");
  }
});

test("big files go in records far below the supervisor's cap", async () => {
  const big = textInput("big", "x".repeat(3_000_000));
  const data = (await records(shellRequest("", { inputs: [big] }), {})).filter(
    ([type]) => type === "D",
  );
  expect(data.map(([, payload]) => payload).join("")).toHaveLength(3_000_000);
  expect(Math.max(...data.map(([, payload]) => payload.length))).toBeLessThanOrEqual(256 * 1024);
});

test("a guest with a network has one process more, and is told of its proxy", async () => {
  const { proxySocket: _none, ...request } = shellRequest("");
  const found = await records({ ...request, proxySocket: "/run/x.sock" }, {});
  expect(found).toContainEqual(["O", "proxy=1"]);
  expect(found).toContainEqual(["O", "nproc=66"]);
});
