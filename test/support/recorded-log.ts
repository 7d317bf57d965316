import { createLogger, type LogFields, type Logger } from "../../src/logger.ts";

/** One line of the service's log. */
export type LoggedLine = Omit<LogFields, "error"> & {
  readonly time: string;
  readonly level: string;
  readonly event: string;
  readonly message: string;
  readonly error?: string;
};

/** The lines of a log in JSON. Throws where one is no JSON object. */
export function parseLog(output: string): readonly LoggedLine[] {
  return output
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as LoggedLine);
}

/** A logger at debug, and what it has written so far; `onLine` is told of each line too. */
export function recordedLog(onLine: (line: LoggedLine) => void = () => undefined): {
  readonly log: Logger;
  readonly lines: readonly LoggedLine[];
} {
  const lines: LoggedLine[] = [];
  const log = createLogger({
    level: "debug",
    format: "json",
    write: (text) => {
      const line = JSON.parse(text) as LoggedLine;
      lines.push(line);
      onLine(line);
      return true;
    },
  });
  return { log, lines };
}
