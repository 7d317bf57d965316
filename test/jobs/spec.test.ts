import { expect, test } from "bun:test";
import fc from "fast-check";

import { AppError } from "../../src/errors.ts";
import { MIB, type SpecBounds } from "../../src/jobs/limits.ts";
import { resolveSpec, type SpecRules } from "../../src/jobs/spec.ts";

const BOUNDS: SpecBounds = {
  timeoutSec: { default: 60, max: 3600 },
  memoryMb: { default: 512, max: 4096 },
  cpuSec: { default: 60, max: 900 },
  processes: { default: 64, max: 1024 },
  diskMb: { default: 256, max: 1024 },
  outputMb: { default: 16, max: 256 },
};

const RULES: SpecRules = {
  bounds: BOUNDS,
  netPolicies: ["none", "allow"],
  callbacks: null,
};

const resolve = (fields: object = {}) => resolveSpec({ entry: "main.py", ...fields }, RULES);

/** The pointers that a spec is refused with; none when it is taken. */
function pointersOf(sent: unknown, rules: SpecRules = RULES): readonly string[] {
  try {
    resolveSpec(sent, rules);
    return [];
  } catch (error) {
    if (error instanceof AppError && error.code === "invalid_spec")
      return error.fields.map(({ pointer }) => pointer);
    throw error;
  }
}

test("an entry alone gets every default", () => {
  expect(resolve()).toEqual({
    entry: "main.py",
    args: [],
    timeoutMs: 60_000,
    runtime: undefined,
    netPolicy: "none",
    env: {},
    stdin: "",
    install: false,
    limits: {
      memoryBytes: 512 * MIB,
      cpuSec: 60,
      processes: 64,
      diskBytes: 256 * MIB,
      outputBytes: 16 * MIB,
    },
    priority: "normal",
    labels: {},
  });
});

test("everything that is asked for is taken over, up to each ceiling", () => {
  const limits = { memory_mb: 4096, cpu_sec: 900, processes: 1024, disk_mb: 1024, output_mb: 256 };
  const fields = { args: ["", "-x"], env: { A_1: "" }, stdin: "a\0b", labels: { "a/b": "c" } };
  const spec = resolve({
    ...fields,
    entry: "./pkg//main.py",
    timeout_sec: 3600,
    runtime: "python3",
    net_policy: "none",
    install: false,
    limits,
    priority: "high",
  });
  expect(spec).toMatchObject({
    ...fields,
    entry: "pkg/main.py",
    timeoutMs: 3_600_000,
    runtime: "python3",
    priority: "high",
    limits: { memoryBytes: 4096 * MIB, cpuSec: 900, processes: 1024, outputBytes: 256 * MIB },
  });
});

test("a fraction of a second is kept, and never becomes none at all", () => {
  expect(resolve({ timeout_sec: 0.25 }).timeoutMs).toBe(250);
  expect(resolve({ timeout_sec: 1e-300 }).timeoutMs).toBe(1);
});

test("a long job may compute all along, unless it limits its CPU time itself", () => {
  expect(resolve({ timeout_sec: 10 }).limits.cpuSec).toBe(60);
  expect(resolve({ timeout_sec: 100.5 }).limits.cpuSec).toBe(101);
  expect(resolve({ timeout_sec: 3600 }).limits.cpuSec).toBe(900);
  expect(resolve({ timeout_sec: 3600, limits: { cpu_sec: 5 } }).limits.cpuSec).toBe(5);
});

test("an install needs a network, of those that the server permits", () => {
  const permissive: SpecRules = { ...RULES, netPolicies: ["none", "allow", "full"] };
  const sent = { entry: "main.py", install: true };
  const taken = resolveSpec({ ...sent, net_policy: { allow: ["pypi.org"] } }, permissive);
  expect(taken.install).toBe(true);
  expect(resolveSpec({ ...sent, install: false }, RULES).install).toBe(false);
  expect(pointersOf(sent)).toEqual(["/spec/install"]);
  expect(() => resolveSpec(sent, { ...RULES, netPolicies: ["none"] })).toThrow("NET_POLICIES");
  expect(() => resolveSpec(sent, permissive)).toThrow('permits, "allow" and "full"');
});

test("every field at fault is named at once", () => {
  expect(
    pointersOf({ entry: "../x", timeout_sec: 9999, install: true, env: { A: "\0" } }).toSorted(),
  ).toEqual(["/spec/entry", "/spec/env/A", "/spec/install", "/spec/timeout_sec"]);
  expect(pointersOf({ entry: 1, args: [1, 2], bogus: {} }).toSorted()).toEqual([
    "/spec/args/0",
    "/spec/args/1",
    "/spec/bogus",
    "/spec/entry",
  ]);
});

test("a thousand faults are told as the first twenty", () => {
  expect(pointersOf({ entry: "a", args: Array.from({ length: 1000 }, () => 1) })).toHaveLength(20);
});

test("names of an object's prototype are names like others", () => {
  const env: unknown = JSON.parse('{"__proto__":"a","constructor":"b"}');
  expect(Object.entries(resolve({ env }).env)).toEqual([
    ["__proto__", "a"],
    ["constructor", "b"],
  ]);
  expect(pointersOf(JSON.parse('{"entry":"a","limits":{"__proto__":1}}'))).toEqual([
    "/spec/limits/__proto__",
  ]);
});

test("any JSON at all is either taken or refused with pointers below /spec", () => {
  const nearMiss = fc.record(
    {
      entry: fc.oneof(fc.string(), fc.jsonValue()),
      args: fc.oneof(fc.array(fc.string({ unit: "binary" })), fc.jsonValue()),
      timeout_sec: fc.oneof(fc.double(), fc.jsonValue()),
      env: fc.oneof(fc.dictionary(fc.string(), fc.string()), fc.jsonValue()),
      limits: fc.oneof(fc.record({ memory_mb: fc.integer() }), fc.jsonValue()),
      labels: fc.oneof(fc.dictionary(fc.string(), fc.string()), fc.jsonValue()),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(nearMiss, fc.jsonValue()), (sent) => {
      for (const pointer of pointersOf(sent)) expect(pointer).toMatch(/^\/spec(\/|$)/);
    }),
    { numRuns: 500 },
  );
});

test("an environment of more variables than a program has use for is refused as a whole", () => {
  const env = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`A${index}`, "x"]));
  expect(pointersOf({ entry: "main.py", env: env(1000) })).toEqual([]);
  expect(pointersOf({ entry: "main.py", env: env(1001) })).toEqual(["/spec/env"]);
});

test("a network policy is brought into one spelling, and only what is permitted is taken", () => {
  expect(resolve({ net_policy: { allow: ["PyPI.org", "*.Example.com"] } }).netPolicy).toEqual({
    allow: ["pypi.org", "*.example.com"],
  });
  const refused = (net_policy: unknown, rules?: SpecRules) =>
    pointersOf({ entry: "a", net_policy }, rules);
  expect(refused("full")).toEqual(["/spec/net_policy"]);
  expect(refused({ allow: ["a"] }, { ...RULES, netPolicies: ["none"] })).toEqual([
    "/spec/net_policy",
  ]);
  expect(refused("none", { ...RULES, netPolicies: ["full"] })).toEqual(["/spec/net_policy"]);
  expect(refused({ allow: [] })).toEqual(["/spec/net_policy/allow"]);
  expect(refused({ allow: ["ok.example", "http://x", "a:1"] })).toEqual([
    "/spec/net_policy/allow/1",
    "/spec/net_policy/allow/2",
  ]);
});
