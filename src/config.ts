import { availableParallelism } from "node:os";

import { choice, flag, integer, list, redisUrl, text, type Variable } from "./config-variable.ts";
import type { SpecBounds } from "./jobs/limits.ts";

/*
 * The configuration: one table of every environment variable, read here and nowhere else. A value that does not parse
 * stops the start with a sentence that names the variable, the value and what it should be.
 */

/** The start must stop; each problem is a sentence for the operator. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

const MANY = 1_000_000;

const VARIABLES = {
  host: text("HOST", "127.0.0.1", "Address to listen on."),
  port: integer("PORT", 8000, { min: 0, max: 65_535 }, "Port to listen on; 0 picks a free one."),
  jobDataDir: text("JOB_DATA_DIR", "data/jobs", "Folder of job files, and of the embedded store."),
  redisUrl: redisUrl("REDIS_URL", "Redis to queue in; unset: the embedded SQLite store."),
  redisPrefix: text("REDIS_PREFIX", "jr", "Names this installation's keys in a shared Redis."),
  redisAllowEviction: flag(
    "REDIS_ALLOW_EVICTION",
    false,
    "Start although Redis may evict keys (jobs can then be lost).",
  ),
  inlineWorker: flag(
    "INLINE_WORKER",
    true,
    "Run jobs in the API process too; 0 needs REDIS_URL and src/worker.ts beside it.",
  ),
  workerConcurrency: integer(
    "WORKER_CONCURRENCY",
    availableParallelism(),
    { min: 1, max: 1000 },
    "Jobs at once per worker.",
  ),
  sandbox: choice("SANDBOX", ["bwrap", "none"], "bwrap", "How programs are contained."),
  allowUnsandboxed: flag(
    "ALLOW_UNSANDBOXED",
    false,
    "Confirms SANDBOX=none: every job can then read, change and reach what this service can.",
  ),
  sandboxUidBase: integer(
    "SANDBOX_UID_BASE",
    20_001,
    { min: 1000, max: 2_000_000_000 },
    "As root: slot n runs its jobs as this uid + n.",
  ),
  strictRuntime: flag(
    "STRICT_RUNTIME",
    false,
    "Refuse a minor version that is not installed, in place of running on the nearest one.",
  ),
  apiKeys: list(
    "API_KEYS",
    "Comma-separated keys; then every call but /livez and /readyz needs one.",
  ),
  allowAnonymous: flag(
    "ALLOW_ANONYMOUS",
    false,
    "Listen on an address that others reach although no API key is set.",
  ),
  allowedHosts: list(
    "ALLOWED_HOSTS",
    "Host names that a server without keys answers to, beside loopback.",
  ),
  corsOrigins: list(
    "CORS_ORIGINS",
    "Web origins whose pages may call, such as https://app.example.com.",
  ),
  maxUploadMb: integer(
    "MAX_UPLOAD_MB",
    100,
    { min: 1, max: MANY },
    "Largest body of a POST /jobs, in MiB.",
  ),
  maxFiles: integer("MAX_FILES", 1000, { min: 1, max: 100_000 }, "Most files of one job."),
  defaultTimeoutSec: integer(
    "DEFAULT_TIMEOUT_SEC",
    60,
    { min: 1, max: MANY },
    "Wall time of a job that asks for none.",
  ),
  maxTimeoutSec: integer(
    "MAX_TIMEOUT_SEC",
    3600,
    { min: 1, max: MANY },
    "Longest wall time a job may ask for.",
  ),
  defaultMemoryMb: integer(
    "DEFAULT_MEMORY_MB",
    512,
    { min: 1, max: MANY },
    "Memory of a job that asks for none, in MiB.",
  ),
  maxMemoryMb: integer(
    "MAX_MEMORY_MB",
    4096,
    { min: 1, max: MANY },
    "Most memory a job may ask for, in MiB.",
  ),
  defaultCpuSec: integer(
    "DEFAULT_CPU_SEC",
    60,
    { min: 1, max: MANY },
    "CPU time of a job that asks for none.",
  ),
  maxCpuSec: integer(
    "MAX_CPU_SEC",
    3600,
    { min: 1, max: MANY },
    "Most CPU time a job may ask for.",
  ),
  defaultProcesses: integer(
    "DEFAULT_PROCESSES",
    64,
    { min: 1, max: MANY },
    "Processes and threads of a job that asks for none.",
  ),
  maxProcesses: integer(
    "MAX_PROCESSES",
    1024,
    { min: 1, max: MANY },
    "Most processes and threads a job may ask for.",
  ),
  defaultDiskMb: integer(
    "DEFAULT_DISK_MB",
    256,
    { min: 1, max: MANY },
    "Disk of a job that asks for none, in MiB.",
  ),
  maxDiskMb: integer(
    "MAX_DISK_MB",
    1024,
    { min: 1, max: MANY },
    "Most disk a job may ask for, in MiB.",
  ),
  defaultOutputMb: integer(
    "DEFAULT_OUTPUT_MB",
    16,
    { min: 1, max: MANY },
    "Log of a job that asks for none, in MiB.",
  ),
  maxOutputMb: integer(
    "MAX_OUTPUT_MB",
    256,
    { min: 1, max: MANY },
    "Largest log a job may ask for, in MiB.",
  ),
  minFreeDiskMb: integer(
    "MIN_FREE_DISK_MB",
    256,
    { min: 0, max: MANY },
    "With less free space, in MiB, where the job folders are, nothing more is put there.",
  ),
  retentionSec: integer(
    "RETENTION_SEC",
    86_400,
    { min: 1, max: 1_000_000_000 },
    "Ended jobs, with logs and files, are removed after this.",
  ),
  heartbeatSec: integer(
    "HEARTBEAT_SEC",
    15,
    { min: 1, max: 120 },
    "A quiet log stream carries a comment this often.",
  ),
  drainSec: integer(
    "DRAIN_SEC",
    30,
    { min: 0, max: 86_400 },
    "On SIGTERM, running jobs get this long before they are handed back.",
  ),
  leaseMs: integer(
    "LEASE_MS",
    15_000,
    { min: 500, max: 3_600_000 },
    "A worker unheard of for this long has lost its jobs (Redis).",
  ),
} as const;

type KnownVariable = (typeof VARIABLES)[keyof typeof VARIABLES];
type ValueOf<V> = V extends Variable<infer T> ? T : never;
type VariableValues = {
  readonly [K in keyof typeof VARIABLES]: ValueOf<(typeof VARIABLES)[K]>;
};

export interface Config extends VariableValues {
  readonly bounds: SpecBounds;
  /** PATH, for finding the runtimes of this machine. */
  readonly searchPath: string;
}

/** The bounds whose default must not be above their ceiling, as [default, ceiling]. */
const BOUNDS = {
  timeoutSec: ["defaultTimeoutSec", "maxTimeoutSec"],
  memoryMb: ["defaultMemoryMb", "maxMemoryMb"],
  cpuSec: ["defaultCpuSec", "maxCpuSec"],
  processes: ["defaultProcesses", "maxProcesses"],
  diskMb: ["defaultDiskMb", "maxDiskMb"],
  outputMb: ["defaultOutputMb", "maxOutputMb"],
} as const satisfies Record<
  keyof SpecBounds,
  readonly [keyof VariableValues, keyof VariableValues]
>;

/**
 * Reads the configuration.
 * @throws ConfigError with one sentence for each value that is wrong or contradicts another.
 */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [field, variable] of Object.entries<Variable<unknown>>(VARIABLES)) {
    const given = environment[variable.name];
    const parsed = given === undefined ? { value: variable.default } : variable.parse(given);
    if ("value" in parsed) values[field] = parsed.value;
    else
      problems.push(
        `${variable.name} is ${JSON.stringify(given)}, but it should be ${parsed.expected}.`,
      );
  }
  if (problems.length > 0) throw new ConfigError(problems);
  // Every field of the table was filled by the parser that the table gives for it.
  const config = values as unknown as VariableValues;
  const contradictions = findContradictions(config, environment);
  if (contradictions.length > 0) throw new ConfigError(contradictions);
  const bound = ([fallback, max]: readonly [keyof VariableValues, keyof VariableValues]) => ({
    default: Number(config[fallback]),
    max: Number(config[max]),
  });
  const bounds: SpecBounds = {
    timeoutSec: bound(BOUNDS.timeoutSec),
    memoryMb: bound(BOUNDS.memoryMb),
    cpuSec: bound(BOUNDS.cpuSec),
    processes: bound(BOUNDS.processes),
    diskMb: bound(BOUNDS.diskMb),
    outputMb: bound(BOUNDS.outputMb),
  };
  return { ...config, bounds, searchPath: environment["PATH"] ?? "" };
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127(\.\d+){3}$/.test(host);
}

function findContradictions(config: VariableValues, environment: NodeJS.ProcessEnv): string[] {
  const problems: string[] = [];
  if (!config.inlineWorker && config.redisUrl === undefined)
    problems.push(
      "INLINE_WORKER is 0, but a separate worker shares no embedded store: set REDIS_URL, for example redis://localhost:6379/0.",
    );
  if (config.sandbox === "none" && !config.allowUnsandboxed)
    problems.push(
      "SANDBOX is none, which runs every job with this service's own rights: set ALLOW_UNSANDBOXED=1 as well if that is meant.",
    );
  if (!isLoopback(config.host) && config.apiKeys.length === 0 && !config.allowAnonymous)
    problems.push(
      `HOST is ${JSON.stringify(config.host)}, which others reach, and no API key is set: set API_KEYS, or ALLOW_ANONYMOUS=1 to let everyone run code.`,
    );
  if (environment["API_KEYS"] !== undefined && config.apiKeys.length === 0)
    problems.push("API_KEYS is set but holds no key: give at least one, or unset it.");
  for (const [fallback, max] of Object.values(BOUNDS))
    if (config[fallback] > config[max])
      problems.push(
        `${VARIABLES[fallback].name} is ${config[fallback]}, above ${VARIABLES[max].name} (${config[max]}): raise the ceiling or lower the default.`,
      );
  return problems;
}

/** The table as `--help` prints it. */
export function configHelp(): string {
  const rows = Object.values<KnownVariable>(VARIABLES).map((variable) => ({
    name: variable.name,
    fallback:
      variable.shownDefault ?? (variable.default === undefined ? "" : String(variable.default)),
    help: variable.help,
  }));
  const nameWidth = Math.max(...rows.map((row) => row.name.length));
  const fallbackWidth = Math.max(...rows.map((row) => row.fallback.length));
  return rows
    .map(
      (row) =>
        `  ${row.name.padEnd(nameWidth)}  ${row.fallback.padEnd(fallbackWidth)}  ${row.help}`,
    )
    .join("\n");
}
