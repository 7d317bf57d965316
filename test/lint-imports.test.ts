import { beforeAll, expect, test } from "bun:test";
import { type Complaint, lintTree } from "./support/lint-tree.ts";

/*
 * A lint rule that never fires looks just like one that is kept, so each is broken here once. This is the table of who
 * may import whom (rules 1-6 of the layout): every line of it is an import that oxlint lets pass or refuses.
 */

/** What one file may import and what it must not, whatever else is in the tree. */
interface ImportRule {
  readonly file: string;
  readonly allowed: readonly string[];
  readonly refused: readonly string[];
}

const IMPORT_RULES: readonly ImportRule[] = [
  {
    file: "src/errors.ts",
    allowed: [],
    refused: ["./jobs/job.ts", "node:fs", "elysia"],
  },
  {
    file: "src/jobs/imports.ts",
    allowed: ["./job.ts", "../errors.ts", "@sinclair/typebox", "@sinclair/typebox/compiler"],
    refused: [
      "../store/store.ts",
      "./../store/store.ts",
      "../config.ts",
      "../platform/spawn.ts",
      "node:fs",
      "node:fs/promises",
      "elysia",
      "ioredis",
      "bun",
    ],
  },
  {
    file: "src/keys/imports.ts",
    allowed: [
      "./api-key.ts",
      "../jobs/quotas.ts",
      "../lifecycle.ts",
      "../logger.ts",
      "node:crypto",
    ],
    refused: [
      "../store/store.ts",
      "../api/guard.ts",
      "../config.ts",
      "../files/local.ts",
      "elysia",
    ],
  },
  {
    file: "src/platform/imports.ts",
    allowed: ["./pipe.ts", "../errors.ts", "node:fs", "node:fs/promises", "bun", "bun:ffi"],
    refused: ["../jobs/job.ts", "../config.ts", "elysia", "ioredis"],
  },
  {
    file: "src/runtimes/imports.ts",
    allowed: [
      "./runtime.ts",
      "./builtin/python.ts",
      "../jobs/job.ts",
      "../sandbox/sandbox.ts",
      "../platform/spawn.ts",
      "node:fs/promises",
    ],
    refused: ["../sandbox/bubblewrap.ts", "../store/store.ts", "../executor/execute.ts", "bun"],
  },
  {
    file: "src/runtimes/builtin/imports.ts",
    allowed: ["../runtime.ts", "../../jobs/job.ts", "../../platform/spawn.ts", "node:path"],
    refused: ["../../sandbox/bubblewrap.ts", "../../config.ts", "../../api/app.ts"],
  },
  {
    file: "src/store/imports.ts",
    allowed: ["./store.ts", "../jobs/job.ts", "../errors.ts"],
    refused: ["./redis/claim.ts", "./sqlite/claim.ts", "../logs/hub.ts", "ioredis", "node:sqlite"],
  },
  {
    file: "src/store/redis/imports.ts",
    allowed: ["./keys.ts", "../store.ts", "../../jobs/job.ts", "../../errors.ts", "ioredis"],
    refused: [
      "../sqlite/claim.ts",
      "../../api/app.ts",
      "../../runner/loop.ts",
      "../../files/local.ts",
      "../../config.ts",
      "elysia",
      "bun:sqlite",
    ],
  },
  {
    file: "src/store/sqlite/imports.ts",
    allowed: ["./schema.ts", "../store.ts", "../../jobs/job.ts", "node:sqlite"],
    refused: [
      "../redis/claim.ts",
      "../../api/app.ts",
      "../../runner/loop.ts",
      "ioredis",
      "bun:sqlite",
    ],
  },
  {
    file: "src/files/imports.ts",
    allowed: ["./file-store.ts", "../jobs/job.ts", "../platform/disk.ts", "node:fs/promises"],
    refused: ["../store/store.ts", "../api/app.ts", "../executor/execute.ts", "../config.ts"],
  },
  {
    file: "src/egress/imports.ts",
    allowed: ["./egress.ts", "../jobs/net-policy.ts", "ipaddr.js", "node:http"],
    refused: ["../sandbox/sandbox.ts", "../store/store.ts", "../config.ts", "ioredis", "elysia"],
  },
  {
    file: "src/sandbox/imports.ts",
    allowed: ["./sandbox.ts", "../jobs/limits.ts", "../platform/spawn.ts", "node:path"],
    refused: ["../store/store.ts", "../files/file-store.ts", "../executor/execute.ts", "ioredis"],
  },
  {
    file: "src/health/imports.ts",
    allowed: ["./pulse.ts", "../lifecycle.ts", "../sandbox/sandbox.ts", "../store/store.ts"],
    refused: ["../store/redis/open.ts", "../runner/runner.ts", "../api/app.ts", "elysia"],
  },
  {
    file: "src/metrics/imports.ts",
    allowed: [
      "./runs.ts",
      "../api/ports.ts",
      "../jobs/job.ts",
      "../sandbox/sandbox.ts",
      "../store/store.ts",
      "prom-client",
    ],
    refused: [
      "../store/redis/open.ts",
      "../runner/runner.ts",
      "../api/app.ts",
      "elysia",
      "node:fs",
    ],
  },
  {
    file: "src/logs/imports.ts",
    allowed: [
      "./lines.ts",
      "../jobs/log-entry.ts",
      "../platform/memory.ts",
      "../store/store.ts",
      "../store/waiter.ts",
    ],
    refused: [
      "../store/redis/log.ts",
      "../platform/spawn.ts",
      "../api/sse.ts",
      "../runner/loop.ts",
      "elysia",
    ],
  },
  {
    file: "src/client/imports.ts",
    allowed: ["./follow-log.ts", "../api/app-type.ts", "@elysiajs/eden"],
    refused: ["../api/app.ts", "../jobs/job.ts", "../config.ts", "elysia", "node:timers", "bun"],
  },
  {
    file: "src/executor/imports.ts",
    allowed: [
      "./classify.ts",
      "../jobs/outcome.ts",
      "../logs/collect.ts",
      "../files/file-store.ts",
      "../egress/egress.ts",
      "../sandbox/sandbox.ts",
      "../runtimes/runtime.ts",
    ],
    refused: [
      "../store/store.ts",
      "../store/redis/claim.ts",
      "../runner/loop.ts",
      "../api/app.ts",
      "../sandbox/bubblewrap.ts",
      "../egress/proxy.ts",
      "../files/local.ts",
    ],
  },
  {
    file: "src/runner/imports.ts",
    allowed: [
      "./lease.ts",
      "../executor/execute.ts",
      "../store/store.ts",
      "../files/file-store.ts",
      "../health/pulse.ts",
      "../lifecycle.ts",
    ],
    refused: [
      "../api/app.ts",
      "../health/readiness.ts",
      "../store/redis/claim.ts",
      "../store/sqlite/claim.ts",
      "../files/local.ts",
      "../sandbox/bubblewrap.ts",
      "../compose.ts",
      "../metrics/metrics.ts",
      "ioredis",
      "prom-client",
    ],
  },
  {
    file: "src/api/imports.ts",
    allowed: [
      "./app.ts",
      "../store/store.ts",
      "../keys/caller.ts",
      "../logs/hub.ts",
      "../platform/memory.ts",
      "elysia",
      "busboy",
      "client-zip",
    ],
    refused: [
      "../runner/loop.ts",
      "../platform/serve.ts",
      "../executor/execute.ts",
      "../store/redis/claim.ts",
      "../store/sqlite/claim.ts",
      "../files/local.ts",
      "../sandbox/none.ts",
      "../metrics/metrics.ts",
      "../config.ts",
      "ioredis",
      "prom-client",
    ],
  },
  {
    file: "src/logger.ts",
    allowed: ["./errors.ts"],
    refused: ["./config.ts", "./jobs/job.ts", "./platform/line-writer.ts", "node:fs"],
  },
  {
    file: "src/lifecycle.ts",
    allowed: ["./errors.ts", "./logger.ts"],
    refused: ["./api/app.ts", "./config.ts", "./store/redis/store.ts"],
  },
  {
    file: "src/config-imports.ts",
    allowed: [
      "./errors.ts",
      "./jobs/limits.ts",
      "./config-variable.ts",
      "./logger.ts",
      "./platform/fault-points.ts",
      "node:path",
    ],
    refused: ["./compose.ts", "./api/app.ts", "./platform/spawn.ts", "ioredis"],
  },
  {
    file: "src/compose.ts",
    allowed: ["./config.ts", "./store/redis/store.ts", "./sandbox/bubblewrap.ts", "node:path"],
    refused: ["./main.ts", "./worker.ts", "ioredis", "elysia", "prom-client"],
  },
  {
    file: "src/worker.ts",
    allowed: [
      "./config.ts",
      "./compose.ts",
      "./compose-api.ts",
      "./lifecycle.ts",
      "./platform/serve.ts",
    ],
    refused: ["./store/redis/store.ts", "./sandbox/bubblewrap.ts", "./files/local.ts", "ioredis"],
  },
];

let complaints: ReadonlyMap<string, readonly Complaint[]>;

beforeAll(async () => {
  const sources = IMPORT_RULES.map(
    ({ file, allowed, refused }) =>
      [file, [...allowed, ...refused].map(importing).join("")] as const,
  );
  complaints = await lintTree(new Map(sources));
});

/** One line, so that a complaint's line number is the import's place in the list. */
function importing(specifier: string, index: number): string {
  return `export type { Part as Part${index} } from "${specifier}";\n`;
}

for (const { file, allowed, refused } of IMPORT_RULES) {
  test(`${file} may not import ${refused.join(", ")}`, () => {
    const specifiers = [...allowed, ...refused];
    const reported = complaints
      .get(file)
      ?.filter(({ rule }) => rule === "eslint(no-restricted-imports)")
      .map(({ line }) => specifiers[line - 1]);
    expect(new Set(reported)).toEqual(new Set(refused));
  });
}
