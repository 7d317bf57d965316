import { VARIABLES } from "./config-table.ts";
import type { Variable } from "./config-variable.ts";
import { messageOf } from "./errors.ts";
import type { SpecBounds } from "./jobs/limits.ts";
import { type FaultPoint, parseFaultPoints } from "./platform/fault-points.ts";

/*
 * The configuration: the table of every environment variable (config-table.ts), read here and nowhere else. A value that does not parse
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

type KnownVariable = (typeof VARIABLES)[keyof typeof VARIABLES];
type ValueOf<V> = V extends Variable<infer T> ? T : never;
type VariableValues = {
  readonly [K in keyof typeof VARIABLES]: ValueOf<(typeof VARIABLES)[K]>;
};

export interface Config extends VariableValues {
  readonly bounds: SpecBounds;
  /** PATH, for finding the runtimes of this machine. */
  readonly searchPath: string;
  /** FAULT, which only test runs set: see platform/fault-points.ts. Not in the table, for it is no setting. */
  readonly faultPoints: readonly FaultPoint[];
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
    else {
      const shown = variable.withoutSecret?.(given ?? "") ?? given;
      problems.push(
        `${variable.name} is ${JSON.stringify(shown)}, but it should be ${parsed.expected}.`,
      );
    }
  }
  const faultPoints = readFaultPoints(environment["FAULT"] ?? "", problems);
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
  return {
    ...config,
    bounds,
    searchPath: environment["PATH"] ?? "",
    faultPoints,
  };
}

/** Adds to `problems` where the text is malformed. */
function readFaultPoints(text: string, problems: string[]): readonly FaultPoint[] {
  try {
    return parseFaultPoints(text);
  } catch (error) {
    problems.push(`FAULT cannot be read: ${messageOf(error)}.`);
    return [];
  }
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
  if (config.sandbox === "none" && config.sandboxRequire.length > 0)
    problems.push(
      `SANDBOX_REQUIRE demands ${config.sandboxRequire.join(" and ")}, and SANDBOX=none has neither: unset one of the two.`,
    );
  if (config.sandbox === "none" && config.jobCpuPercent > 0)
    problems.push(
      "JOB_CPU_PERCENT needs a cgroup, and SANDBOX=none gives jobs none: unset one of the two.",
    );
  if (config.sandbox === "none" && config.netPolicies.some((kind) => kind !== "none"))
    problems.push(
      "NET_POLICIES permits jobs a network, but with SANDBOX=none no policy can be enforced: unset it.",
    );
  const uids = config.sandboxUids;
  if (uids !== undefined && uids.last - uids.first + 1 < config.workerConcurrency)
    problems.push(
      `SANDBOX_UIDS (${uids.first}-${uids.last}) has fewer ids than WORKER_CONCURRENCY (${config.workerConcurrency}) has slots: widen it.`,
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

/**
 * Refuses to listen where others reach without asking who they are. `hasKeys`: there are keys beside those of API_KEYS.
 * @throws ConfigError
 */
export function checkExposure(
  { host, apiKeys, allowAnonymous }: Pick<Config, "host" | "apiKeys" | "allowAnonymous">,
  hasKeys: boolean,
): void {
  if (isLoopback(host) || apiKeys.length > 0 || hasKeys || allowAnonymous) return;
  throw new ConfigError([
    `HOST is ${JSON.stringify(host)}, which others reach, and there is no API key: make one with bun run src/keys.ts, set API_KEYS, or ALLOW_ANONYMOUS=1 to let everyone run code.`,
  ]);
}

/** The table as `--help` prints it. */
export function configHelp(): string {
  const rows = Object.values<KnownVariable>(VARIABLES).map((variable) => ({
    name: variable.name,
    fallback: variable.shownDefault,
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
