import { isatty } from "node:tty";

import { type Config, ConfigError, configHelp, loadConfig } from "./config.ts";
import { AppError, messageOf } from "./errors.ts";
import { KeyFileError } from "./keys/key-file.ts";
import { createLogger, type Logger } from "./logger.ts";
import { openLineWriter } from "./platform/line-writer.ts";
import { ListenError } from "./platform/serve.ts";

/*
 * What both entry points share: their command line, their words to the operator, and their end.
 */

const STDERR_FD = 2;

/** A sentence for whoever starts this process by hand, before it is known how the log is to look. */
export function complain(message: string): void {
  process.stderr.write(`${message}\n`);
}

/** The log of this process, on stderr: stdout stays free for whoever pipes it. */
function openLog({ logLevel, logFormat }: Config): Logger {
  const automatic = isatty(STDERR_FD) ? "text" : "json";
  return createLogger({
    level: logLevel,
    format: logFormat === "auto" ? automatic : logFormat,
    write: openLineWriter(STDERR_FD),
  });
}

/** What the command line asks for; an exit code to leave with at once where it is help or a mistake. */
type CommandLine =
  { readonly command: "serve" | "doctor"; readonly config: Config } | { readonly exitCode: number };

/** Handles the command line and reads the configuration. */
export function readCommandLine(usage: string): CommandLine {
  const [argument] = process.argv.slice(2);
  if (argument === "--help" || argument === "-h") {
    process.stdout.write(`${usage}\n\nEnvironment:\n${configHelp()}\n`);
    return { exitCode: 0 };
  }
  if (argument !== undefined && argument !== "doctor") {
    complain(`Unknown argument ${JSON.stringify(argument)}. Try --help.`);
    return { exitCode: 2 };
  }
  try {
    return { command: argument ?? "serve", config: loadConfig() };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { exitCode: refuse(error) };
  }
}

/** Says what is wrong with the configuration. Returns the exit code for it. */
function refuse({ problems }: ConfigError): number {
  for (const problem of problems) complain(problem);
  return 2;
}

/** Why the process ends, in words: a sentence where the error is ours, everything where it is a bug. */
function logEnd(log: Logger, error: unknown): void {
  const isOurs = [AppError, ListenError, KeyFileError].some((kind) => error instanceof kind);
  if (isOurs) log.error("fatal", messageOf(error));
  else log.error("fatal", `The service cannot go on: ${messageOf(error)}`, { error });
}

/** Resolves when the process is to stop, which is logged; rejects when it cannot go on. */
export async function untilStop(
  log: Logger,
  stopping: Promise<NodeJS.Signals>,
  failed: Promise<never>,
): Promise<void> {
  const signal = await Promise.race([stopping, failed]);
  log.info("stopping", `${signal}: finishing what runs, taking nothing new.`);
}

/** Resolves at the first SIGTERM or SIGINT. A second one ends the process at once. */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.once(signal, () => {
        resolve(signal);
        process.once(signal, () => process.kill(process.pid, "SIGKILL"));
      });
    }
  });
}

/** Beyond the drain: what killing the last programs and closing the store may take. */
const STOP_MARGIN_MS = 5_000;

/** How long the services of a process may take to stop. */
export function stopDeadlineMs(config: Config): number {
  return config.drainSec * 1000 + STOP_MARGIN_MS;
}

/** Says at `warn` what no service for others should run with: SANDBOX=none, and FAULT. A line each. */
export function warnOfDangers(config: Config, log: Logger): void {
  if (config.sandbox === "none")
    log.warn("unsandboxed", "WARNING: SANDBOX=none: jobs run with all the rights of this service.");
  if (config.faultPoints.length > 0) {
    const points = config.faultPoints.map(({ name, action, pass }) => `${name}:${action}@${pass}`);
    log.warn(
      "fault_points",
      `WARNING: FAULT=${points.join(",")}: this process is told to kill or stop itself.`,
    );
  }
}

/** Rejects with what was thrown where nobody catches it: nobody knows in what state that has left the process. */
function untilUncaught(): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  process.on("uncaughtException", reject);
  process.on("unhandledRejection", reject);
  return promise;
}

/**
 * Runs a process to its end. Resolves to its exit code: 0 after an orderly stop, 2 when its configuration cannot be used, 1
 * when it could not start or broke, by an error that nobody caught as well. Why is in the log, in one line.
 */
export async function exitCodeOf(
  config: Config,
  run: (config: Config, log: Logger) => Promise<void>,
): Promise<number> {
  const log = openLog(config);
  try {
    await Promise.race([run(config, log), untilUncaught()]);
    log.info("stopped", "Stopped.");
    return 0;
  } catch (error) {
    if (error instanceof ConfigError) return refuse(error);
    logEnd(log, error);
    return 1;
  }
}

/** A promise that rejects once something broke for good: the process is to end, for whatever started it to start it anew. */
export function fatalSignal(): {
  readonly onFatal: (error: AppError) => void;
  readonly failed: Promise<never>;
} {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => undefined);
  return { onFatal: reject, failed: promise };
}
