import { type Config, ConfigError, configHelp, loadConfig } from "./config.ts";
import { AppError } from "./errors.ts";
import { ListenError } from "./platform/serve.ts";

/*
 * What both entry points share: their command line, their words to the operator, and their end.
 */

/** One line to the operator, on stderr: stdout stays free for whoever pipes it. */
export function report(message: string): void {
  process.stderr.write(`${message}\n`);
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
    report(`Unknown argument ${JSON.stringify(argument)}. Try --help.`);
    return { exitCode: 2 };
  }
  try {
    return { command: argument ?? "serve", config: loadConfig() };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const problem of error.problems) report(problem);
    return { exitCode: 2 };
  }
}

/** A failed start in words: a sentence where the error is ours, everything where it is a bug. */
function reportFailedStart(error: unknown): void {
  if (error instanceof AppError || error instanceof ListenError) report(error.message);
  else report(`The start failed: ${error instanceof Error ? (error.stack ?? "") : String(error)}`);
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

export function warnOfDangers(config: Config): void {
  if (config.sandbox === "none")
    report("WARNING: SANDBOX=none: jobs run with all the rights of this service.");
  if (config.faultPoints !== "")
    report(`WARNING: FAULT=${config.faultPoints}: this process is told to kill or stop itself.`);
}

/** Runs a process to its end. Resolves to its exit code: 0 after an orderly stop, 1 when it could not start or broke. */
export async function exitCodeOf(run: () => Promise<void>): Promise<number> {
  try {
    await run();
    return 0;
  } catch (error) {
    reportFailedStart(error);
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
