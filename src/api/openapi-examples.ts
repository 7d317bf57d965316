import packageJson from "../../package.json" with { type: "json" };

/*
 * What the answers in the API description look like. A test checks each against its schema.
 */

export const EXAMPLE_ID = "0b7e0b0e-5d6f-4c61-9a1e-6f2f8a1d3c55";

export const QUEUED_JOB = {
  id: EXAMPLE_ID,
  status: "queued",
  reason: null,
  spec: { entry: "main.py", timeout_sec: 20 },
  runtime: { name: "python3.12", version: "3.12.3" },
  traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  attempt: 0,
  created_at: "2026-11-24T09:00:00.000Z",
  started_at: null,
  finished_at: null,
  queue_position: 0,
  exit_code: null,
  signal: null,
  oom: null,
  usage: null,
  compile_usage: null,
  install_usage: null,
  log: { bytes: 0, dropped_bytes: 0 },
  files: [],
  artifacts: [],
  warnings: [],
  error: null,
};

export const ENDED_JOB = {
  ...QUEUED_JOB,
  status: "succeeded",
  attempt: 1,
  started_at: "2026-11-24T09:00:00.001Z",
  finished_at: "2026-11-24T09:00:00.009Z",
  queue_position: null,
  exit_code: 0,
  oom: false,
  usage: { wall_ms: 5, cpu_ms: 3, peak_memory_bytes: 8_388_608 },
  log: { bytes: 6, dropped_bytes: 0 },
};

export const CANCELLED_JOB = {
  ...QUEUED_JOB,
  status: "cancelled",
  reason: "cancelled",
  finished_at: "2026-11-24T09:00:00.009Z",
  queue_position: null,
};

export const JOB_WITH_OUTPUT = {
  ...ENDED_JOB,
  stdout: "hello\n",
  stderr: "",
  compiler: "",
  installer: "",
  stdout_truncated: false,
  stderr_truncated: false,
  compiler_truncated: false,
  installer_truncated: false,
};

export const NDJSON_EXAMPLE = `{"id":"1764000000000-0.0","event":"attempt","attempt":1}
{"id":"1764000000000-1.6","stream":"stdout","text":"hello\\n"}
{"id":"1764000000000-2.0","event":"end","status":"succeeded","reason":null,"exit_code":0,"signal":null}
`;

export const STREAM_EXAMPLE = `retry: 1500
: ok

event: attempt
id: 1764000000000-0.0
data: {"attempt":1}

id: 1764000000000-1.6
data: hello

event: end
id: 1764000000000-2.0
data: {"status":"succeeded","reason":null,"exit_code":0,"signal":null}

`;

export const ARTIFACT_EXAMPLE = {
  items: [
    {
      name: "result.csv",
      size: 8,
      type: "text/csv; charset=utf-8",
      sha256: "0".repeat(64),
      url: `/jobs/${EXAMPLE_ID}/artifacts/result.csv`,
    },
  ],
};

export const RUNTIMES_EXAMPLE = {
  items: [
    {
      name: "python3.12",
      version: "3.12.3",
      aliases: ["python3", "python"],
      extensions: [".py"],
      compiles: false,
      installs: "requirements.txt",
    },
    {
      name: "c",
      version: "gcc 12.2.0",
      aliases: [],
      extensions: [".c"],
      compiles: true,
      installs: null,
    },
  ],
  absent: [{ name: "ruby", hint: "apt-get install ruby" }],
  limits: { timeout_sec: { default: 60, max: 3600 } },
  net_policies: ["none", "allow"],
};

export const STATS_EXAMPLE = {
  version: packageJson.version,
  uptime_sec: 3600,
  store: { kind: "redis" },
  queue: { high: 0, normal: 3, low: 0, total: 3, oldest_wait_ms: 1250 },
  running: 4,
  unfinished: 7,
  slots: { total: 2, busy: 2 },
  workers: { count: 2, slots: 4 },
  sse_clients: 1,
};

export const METRICS_EXAMPLE = `# HELP jobrunner_queue_depth Jobs that wait, by priority.
# TYPE jobrunner_queue_depth gauge
jobrunner_queue_depth{priority="high"} 0
jobrunner_queue_depth{priority="normal"} 3
jobrunner_queue_depth{priority="low"} 0
`;

export const OPENAPI_EXAMPLE = {
  openapi: "3.1.0",
  info: { title: "job-runner", version: packageJson.version },
  paths: { "/jobs": {} },
};
