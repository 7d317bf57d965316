import { createLogger, type Logger } from "../../src/logger.ts";

/** One line of the service's log. */
export interface LoggedLine {
  readonly time: string;
  readonly level: string;
  readonly event: string;
  readonly message: string;
  readonly job_id?: string;
  readonly epoch?: number;
  readonly attempt?: number;
  readonly request_id?: string;
  readonly worker?: string;
  readonly method?: string;
  readonly path?: string;
  readonly duration_ms?: number;
  readonly status?: string | number;
  readonly reason?: string;
  readonly error?: string;
}

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
