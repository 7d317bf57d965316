import { availableParallelism } from "node:os";

import {
  addressRanges,
  choice,
  flag,
  hostNames,
  idRange,
  integer,
  list,
  optionalPort,
  origins,
  redisUrl,
  secret,
  subset,
  text,
  webhookSecret,
} from "./config-variable.ts";
import { LANGUAGE_NAMES } from "./jobs/languages.ts";
import { NET_POLICY_KINDS } from "./jobs/net-policy.ts";
import { LOG_LEVELS } from "./logger.ts";

const MANY = 1_000_000;

/** Every environment variable of this service, in the order in which --help lists them. */
export const VARIABLES = {
  host: text("HOST", "127.0.0.1", "Address to listen on."),
  port: integer("PORT", 8000, { min: 0, max: 65_535 }, "Port to listen on; 0 picks a free one."),
  metricsPort: optionalPort(
    "METRICS_PORT",
    "Where a worker process serves /metrics, /livez and /readyz; unset: nowhere. The API has them on PORT.",
  ),
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
  sandboxRequire: subset(
    "SANDBOX_REQUIRE",
    ["cgroup", "seccomp"],
    "Run no job without these, of cgroup and seccomp.",
  ),
  sandboxUids: idRange(
    "SANDBOX_UIDS",
    { first: 20_001, last: 29_999 },
    "As root: the uids that jobs run as, one for each that runs or may start ahead; none: refuse to run jobs as root.",
  ),
  jobCpuPercent: integer(
    "JOB_CPU_PERCENT",
    0,
    { min: 0, max: MANY },
    "Most CPU of one job at a time, in percent of one core; 0: no cap but the other jobs' equal share. Needs a cgroup.",
  ),
  warmPoolMb: integer(
    "WARM_POOL_MB",
    128,
    { min: 0, max: MANY },
    "Memory for sandboxes that wait for a job, started ahead, in MiB; 0: none is.",
  ),
  netPolicies: subset(
    "NET_POLICIES",
    NET_POLICY_KINDS,
    "What jobs may ask for of the network, of none, allow and full.",
    ["none"],
  ),
  netExtraAddresses: addressRanges(
    "NET_EXTRA_ADDRESSES",
    "Addresses such as 10.1.2.0/24 that jobs with a network may reach although they are not public.",
  ),
  languages: subset(
    "LANGUAGES",
    LANGUAGE_NAMES,
    `What is looked for on this machine, of ${LANGUAGE_NAMES.join(", ")}. With less a worker is ready sooner.`,
    LANGUAGE_NAMES,
  ),
  strictRuntime: flag(
    "STRICT_RUNTIME",
    false,
    "Refuse a minor version that is not installed, in place of running on the nearest one.",
  ),
  compileTimeoutSec: integer(
    "COMPILE_TIMEOUT_SEC",
    60,
    { min: 1, max: MANY },
    "Wall time, and CPU time, of a job's compile step; its timeout_sec begins after it.",
  ),
  compileCacheMb: integer(
    "COMPILE_CACHE_MB",
    256,
    { min: 0, max: MANY },
    "Disk for what was compiled, for jobs with the same code, below JOB_DATA_DIR, in MiB; 0: none.",
  ),
  installTimeoutSec: integer(
    "INSTALL_TIMEOUT_SEC",
    300,
    { min: 1, max: MANY },
    "Wall time, and CPU time, of the installing of a job's dependencies; its timeout_sec begins after it.",
  ),
  installCacheMb: integer(
    "INSTALL_CACHE_MB",
    1024,
    { min: 0, max: MANY },
    "Disk for what was installed, for jobs with the same manifest, below JOB_DATA_DIR, in MiB; 0: none.",
  ),
  apiKeys: list(
    "API_KEYS",
    "Comma-separated keys that may do everything; then, or with one of src/keys.ts, every call but /livez, /readyz and /docs needs one.",
  ),
  allowAnonymous: flag(
    "ALLOW_ANONYMOUS",
    false,
    "Listen on an address that others reach although there is no API key.",
  ),
  allowedHosts: hostNames(
    "ALLOWED_HOSTS",
    "Host names that a server without keys answers to, beside loopback.",
  ),
  corsOrigins: origins(
    "CORS_ORIGINS",
    "Web origins whose pages may call, such as https://app.example.com.",
  ),
  signingSecret: secret(
    "SIGNING_SECRET",
    "What signed URLs are signed with; unset: a secret of their own in JOB_DATA_DIR.",
  ),
  callbackSecret: webhookSecret(
    "CALLBACK_SECRET",
    "What callbacks are signed with, whsec_ and base64 as Standard Webhooks has it; unset: no job may ask for one.",
  ),
  callbackExtraAddresses: addressRanges(
    "CALLBACK_EXTRA_ADDRESSES",
    "Addresses such as 10.1.2.0/24 that callbacks may be sent to although they are not public.",
  ),
  maxQueued: integer(
    "MAX_QUEUED",
    10_000,
    { min: 0, max: 10 * MANY },
    "Most jobs that wait; one more is answered with 503. 0: as many as come.",
  ),
  maxUploadMb: integer(
    "MAX_UPLOAD_MB",
    100,
    { min: 1, max: MANY },
    "Largest body of a POST /jobs, in MiB; as JSON at most 16.",
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
  maxStreams: integer(
    "MAX_STREAMS",
    5000,
    { min: 1, max: MANY },
    "Most clients that one process sends a log at a time, live or as it is, or lets wait for a job; one more is answered with 503.",
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
  outageSec: integer(
    "OUTAGE_SEC",
    60,
    { min: 1, max: 86_400 },
    "A worker that has not reached its store for this long ends what it runs: others may have it by now.",
  ),
  logLevel: choice(
    "LOG_LEVEL",
    LOG_LEVELS,
    "info",
    `What of the service's own log is written: this level and those before it, of ${LOG_LEVELS.join(", ")}.`,
  ),
  logFormat: choice(
    "LOG_FORMAT",
    ["auto", "json", "text"],
    "auto",
    "json: an object per line; text: for people; auto: text on a terminal, else json.",
  ),
} as const;
