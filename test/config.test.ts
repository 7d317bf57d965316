import { expect, test } from "bun:test";

import { checkExposure, ConfigError, configHelp, loadConfig } from "../src/config.ts";

/** The sentences with which a start is refused; none when it is not. */
function problemsOf(environment: Readonly<Record<string, string>>): readonly string[] {
  try {
    loadConfig(environment);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

test("an empty environment gives the defaults that --help prints", () => {
  const config = loadConfig({});
  expect(config).toMatchObject({
    host: "127.0.0.1",
    port: 8000,
    jobDataDir: "data/jobs",
    redisUrl: undefined,
    inlineWorker: true,
    sandbox: "bwrap",
    apiKeys: [],
    bounds: { timeoutSec: { default: 60, max: 3600 } },
  });
  expect(configHelp()).toMatch(/^ {2}HOST +127\.0\.0\.1 +\S/m);
  expect(configHelp()).toMatch(/^ {2}PORT +8000 +\S/m);
  expect(configHelp()).toMatch(/^ {2}INLINE_WORKER +1 +\S/m);
});

test("each kind of variable is read from its text", () => {
  const config = loadConfig({
    PORT: "0",
    INLINE_WORKER: "off",
    REDIS_URL: "rediss://redis.example:6380/1",
    SANDBOX: "none",
    ALLOW_UNSANDBOXED: "YES",
    API_KEYS: " one , two,",
    SANDBOX_UIDS: "3000-4000",
    NET_EXTRA_ADDRESSES: "10.1.0.0/16, ::1",
    CORS_ORIGINS: "https://app.example.com, http://localhost:3000",
    ALLOWED_HOSTS: "Runner.example.com,api",
    MAX_TIMEOUT_SEC: "90",
  });
  expect(config).toMatchObject({
    port: 0,
    inlineWorker: false,
    redisUrl: "rediss://redis.example:6380/1",
    sandbox: "none",
    allowUnsandboxed: true,
    apiKeys: ["one", "two"],
    sandboxUids: { first: 3000, last: 4000 },
    netExtraAddresses: [
      { address: "10.1.0.0", prefixBits: 16 },
      { address: "::1", prefixBits: 128 },
    ],
    corsOrigins: ["https://app.example.com", "http://localhost:3000"],
    allowedHosts: ["Runner.example.com", "api"],
    bounds: { timeoutSec: { default: 60, max: 90 } },
  });
  expect(loadConfig({ SANDBOX_REQUIRE: "seccomp, cgroup" }).sandboxRequire).toEqual([
    "cgroup",
    "seccomp",
  ]);
});

test("fault points are read from FAULT, and a malformed one stops the start", () => {
  expect(loadConfig({}).faultPoints).toEqual([]);
  expect(loadConfig({ FAULT: "store.claim.after:kill" }).faultPoints).toEqual([
    { name: "store.claim.after", action: "kill", pass: 1 },
  ]);
  expect(problemsOf({ FAULT: "store.claim:kill", PORT: "x" })).toEqual([
    expect.stringContaining("PORT"),
    'FAULT cannot be read: "store.claim:kill" is no fault point; one is store.claim.after:kill.',
  ]);
});

const BAD_VALUES: readonly (readonly [name: string, value: string, expected: string])[] = [
  ["PORT", "65536", "a whole number from 0 to 65535"],
  ["PORT", "-1", "a whole number from 0 to 65535"],
  ["PORT", "80.5", "a whole number from 0 to 65535"],
  ["PORT", "1e3", "a whole number from 0 to 65535"],
  ["PORT", "", "a whole number from 0 to 65535"],
  ["SANDBOX_UIDS", "20001", "two user ids above 0 such as 20001-29999, or none"],
  ["SANDBOX_UIDS", "0-100", "two user ids above 0 such as 20001-29999, or none"],
  ["SANDBOX_UIDS", "200-100", "two user ids above 0 such as 20001-29999, or none"],
  ["SANDBOX_UIDS", "1-4294967295", "two user ids above 0 such as 20001-29999, or none"],
  ...["mirror", "10.0.0.0/33", "1.2.3", "10.0.0.0/8/8", "fe80::1%lo", "::/x", "10.0.0.0/-1"].map(
    (value) =>
      [
        "NET_EXTRA_ADDRESSES",
        value,
        "comma-separated addresses and networks such as 10.1.2.0/24",
      ] as const,
  ),
  ["NET_POLICIES", "all", "a comma-separated list out of none, allow, full"],
  ["SANDBOX_REQUIRE", "selinux", "a comma-separated list out of cgroup, seccomp"],
  ["HOST", "", "a text that is not empty"],
  ["INLINE_WORKER", "maybe", "1 or 0"],
  ["SANDBOX", "docker", '"bwrap" or "none"'],
  ["REDIS_URL", "localhost:6379", "a URL such as redis://localhost:6379/0"],
  ["REDIS_URL", "http://localhost", "a URL such as redis://localhost:6379/0"],
  ...["app.example.com", "https://app.example.com/", "https://App.example.com", "*", "null"].map(
    (value) =>
      [
        "CORS_ORIGINS",
        value,
        "comma-separated origins such as https://app.example.com, without a path",
      ] as const,
  ),
  ...["http://runner.test", "runner.test:8000", "runner.test/x", "a b"].map(
    (value) =>
      [
        "ALLOWED_HOSTS",
        value,
        "comma-separated host names such as runner.example.com, without a port",
      ] as const,
  ),
  ["MAX_QUEUED", "many", "a whole number from 0 to 10000000"],
];

for (const [name, value, expected] of BAD_VALUES) {
  test(`${name}=${value} is refused in a sentence that says what it should be`, () => {
    const sentence = `${name} is ${JSON.stringify(value)}, but it should be ${expected}.`;
    expect(problemsOf({ [name]: value })).toEqual([sentence]);
  });
}

test("a bad value is told without the password that it may hold", () => {
  expect(problemsOf({ REDIS_URL: "http://user:hunter2@redis.example:6379" })).toEqual([
    'REDIS_URL is "***@redis.example:6379", but it should be a URL such as redis://localhost:6379/0.',
  ]);
  expect(problemsOf({ SIGNING_SECRET: "hunter2" })).toEqual([
    'SIGNING_SECRET is "***", but it should be a text of at least 32 characters.',
  ]);
});

test("every bad value is told at once", () => {
  expect(problemsOf({ PORT: "x", SANDBOX: "x" })).toHaveLength(2);
});

const CONTRADICTIONS: readonly (readonly [
  what: string,
  environment: Readonly<Record<string, string>>,
  remedy: Readonly<Record<string, string>>,
])[] = [
  ["a worker apart without Redis", { INLINE_WORKER: "0" }, { REDIS_URL: "redis://localhost" }],
  ["no sandbox, said once", { SANDBOX: "none" }, { ALLOW_UNSANDBOXED: "1" }],
  ["keys without a key", { API_KEYS: " , " }, { API_KEYS: "secret" }],
  [
    "fewer uids than slots",
    { SANDBOX_UIDS: "3000-3001", WORKER_CONCURRENCY: "3" },
    { SANDBOX_UIDS: "3000-3002" },
  ],
  [
    "a demand that no sandbox can meet",
    { SANDBOX_REQUIRE: "cgroup", SANDBOX: "none", ALLOW_UNSANDBOXED: "1" },
    { SANDBOX: "bwrap" },
  ],
  [
    "a share of the CPU without a sandbox",
    { JOB_CPU_PERCENT: "50", SANDBOX: "none", ALLOW_UNSANDBOXED: "1" },
    { SANDBOX: "bwrap" },
  ],
  [
    "a network without a sandbox",
    { NET_POLICIES: "full", SANDBOX: "none", ALLOW_UNSANDBOXED: "1" },
    { SANDBOX: "bwrap" },
  ],
  ["a default above its ceiling", { DEFAULT_DISK_MB: "2000" }, { MAX_DISK_MB: "2000" }],
];

for (const [what, environment, remedy] of CONTRADICTIONS) {
  test(`${what} is refused with its remedy`, () => {
    const [sentence, ...more] = problemsOf(environment);
    expect(more).toEqual([]);
    expect(sentence).toContain(Object.keys(environment)[0]);
    expect(problemsOf({ ...environment, ...remedy })).toEqual([]);
  });
}

/** Whether a process may listen where this environment says. */
function mayListen(environment: Readonly<Record<string, string>>, hasKeys = false): boolean {
  try {
    checkExposure(loadConfig(environment), hasKeys);
    return true;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.message).toContain("HOST");
    expect(error.message).toContain("ALLOW_ANONYMOUS=1");
    return false;
  }
}

test("only a loopback address may be listened on without a key", () => {
  for (const HOST of ["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]"])
    expect(mayListen({ HOST })).toBe(true);
  for (const HOST of ["::", "0.0.0.0", "127.0.0.1.example.com", "128.0.0.1"]) {
    expect(mayListen({ HOST })).toBe(false);
    expect(mayListen({ HOST, API_KEYS: "secret" })).toBe(true);
    expect(mayListen({ HOST, ALLOW_ANONYMOUS: "1" })).toBe(true);
    expect(mayListen({ HOST }, true)).toBe(true);
  }
});
