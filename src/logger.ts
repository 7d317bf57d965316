import { AppError } from "./errors.ts";

/*
 * What the service tells its operator: one line per event, with a name that stays the same and fields to search by. What
 * programs print is none of this (logs/).
 */

/** From the gravest on. */
export const LOG_LEVELS = ["error", "warn", "info", "debug"] as const;

/** error: somebody should look; warn: something was not as planned; info: what an operator wants unasked; debug: the rest. */
type LogLevel = (typeof LOG_LEVELS)[number];

/** The `event` of every line there is. Dashboards match these: a name is never given a new meaning. */
type ServiceEvent =
  | "listening"
  | "working"
  | "stopping"
  | "stopped"
  | "stop_incomplete"
  | "fatal"
  | "fault_points"
  | "unsandboxed"
  | "sandbox_not_ready"
  | "warm_pool"
  | "sandbox_ready_again"
  | "runtimes_found"
  | "store_away"
  | "store_back"
  | "job_recovered"
  | "folders_removed"
  | "step_failed"
  | "job_submitted"
  | "job_cancel_asked"
  | "job_claimed"
  | "job_started"
  | "job_ended"
  | "end_forgotten"
  | "job_handed_back"
  | "job_fenced"
  | "callback_sent"
  | "callback_postponed"
  | "callback_given_up"
  | "request_answered"
  | "request_failed"
  | "keys_changed"
  | "keys_unreadable"
  | "stream_opened"
  | "stream_closed"
  | "lines_dropped";

/** Named as they stand in the line. Never a secret: no spec's env, args or stdin, no header, no query, no URL of a store. */
export interface LogFields {
  readonly job_id?: string;
  readonly epoch?: number;
  /** 1 for the first. */
  readonly attempt?: number;
  readonly request_id?: string;
  /** Of the trace that the request, or the job's submit, says it is part of (jobs/trace-context.ts). */
  readonly trace_id?: string;
  readonly span_id?: string;
  /** The id of the API key that a request was made with: no secret. */
  readonly key_id?: string;
  /** The worker process (platform/process-identity.ts). */
  readonly worker?: string;
  readonly method?: string;
  /** Without its query. */
  readonly path?: string;
  readonly duration_ms?: number;
  /** A job's, or the HTTP status of an answer. */
  readonly status?: string | number;
  /** Why a job ended as it did (jobs/outcome.ts). */
  readonly reason?: string | null;
  /** Anything thrown: an AppError is told by its code and sentence, what is a bug of ours with its stack. */
  readonly error?: unknown;
}

type Write = (event: ServiceEvent, message: string, fields?: LogFields) => void;

/** Where the parts of the service say what happens. No member ever throws or waits. */
export type Logger = Readonly<Record<LogLevel, Write>> & {
  /** The same, with these fields in every line. */
  child(fields: LogFields): Logger;
};

export interface LoggerOptions {
  /** The last of LOG_LEVELS that is written. */
  readonly level: LogLevel;
  /** json: an object per line, for machines; text: for the eyes of one who started the service by hand. */
  readonly format: "json" | "text";
  /** Takes a line without its end; false when the line was lost. */
  readonly write: (line: string) => boolean;
}

interface Line {
  readonly level: LogLevel;
  readonly event: ServiceEvent;
  readonly message: string;
  readonly fields: LogFields;
}

/**
 * A logger of lines up to `level`, each handed to `write` once. Lines that `write` loses are counted, and told of before the
 * next one (`lines_dropped`). A text of more than MAX_TEXT_LENGTH characters is cut.
 */
export function createLogger({ level, format, write }: LoggerOptions): Logger {
  const enabled = LOG_LEVELS.slice(0, LOG_LEVELS.indexOf(level) + 1);
  const lineOf = format === "json" ? jsonLine : textLine;
  let dropped = 0;
  const put = (line: Line) => {
    if (!enabled.includes(line.level)) return;
    const time = new Date().toISOString();
    if (dropped > 0 && write(lineOf(time, droppedLine(dropped)))) dropped = 0;
    if (!write(lineOf(time, line))) dropped++;
  };
  return new FieldsLogger(put, {});
}

/** Its members are shared by all: there is one for each request, and for as long as a stream lasts. */
class FieldsLogger implements Logger {
  readonly #put: (line: Line) => void;
  readonly #shared: LogFields;

  constructor(put: (line: Line) => void, shared: LogFields) {
    this.#put = put;
    this.#shared = shared;
  }

  error(event: ServiceEvent, message: string, fields?: LogFields): void {
    this.#write("error", { event, message, fields });
  }

  warn(event: ServiceEvent, message: string, fields?: LogFields): void {
    this.#write("warn", { event, message, fields });
  }

  info(event: ServiceEvent, message: string, fields?: LogFields): void {
    this.#write("info", { event, message, fields });
  }

  debug(event: ServiceEvent, message: string, fields?: LogFields): void {
    this.#write("debug", { event, message, fields });
  }

  child(fields: LogFields): Logger {
    return new FieldsLogger(this.#put, { ...this.#shared, ...fields });
  }

  #write(
    level: LogLevel,
    { event, message, fields }: Pick<Line, "event" | "message"> & { fields: LogFields | undefined },
  ): void {
    this.#put({ level, event, message, fields: { ...this.#shared, ...fields } });
  }
}

function droppedLine(count: number): Line {
  const message = `${count} lines before this one were dropped, since nobody read them.`;
  return { level: "warn", event: "lines_dropped", message, fields: {} };
}

function jsonLine(time: string, { level, event, message, fields }: Line): string {
  const head = { time, level, event, message: shortened(message) };
  return escapeControls(JSON.stringify({ ...head, ...Object.fromEntries(fieldsOf(fields)) }));
}

/** As short as a terminal likes it; the lines of a stack are indented, so that none can pass for an entry of its own. */
function textLine(time: string, { level, message, fields }: Line): string {
  const { error, ...others } = Object.fromEntries(fieldsOf(fields));
  // On a terminal there is one process, and its identity is longer than all the rest.
  const pairs = Object.entries(others).filter(([name]) => name !== "worker");
  const words = pairs.map(([name, value]) => `${name}=${quoted(String(value))}`);
  const clock = `${time.slice(11, 19)}Z`;
  const line = [clock, level.padEnd("error".length), shortened(message), ...words].join(" ");
  const stack = error === undefined ? [] : String(error).split("\n");
  return [line, ...stack].map(escapeControls).join("\n    ");
}

function quoted(value: string): string {
  return /^[\w./:-]+$/.test(value) ? value : JSON.stringify(value);
}

function fieldsOf(fields: LogFields): readonly (readonly [string, string | number])[] {
  return Object.entries({ ...fields, error: errorText(fields.error) }).flatMap(
    ([name, value]: readonly [string, string | number | null | undefined]) => {
      if (value === undefined || value === null) return [];
      return [[name, typeof value === "string" ? shortened(value) : value] as const];
    },
  );
}

/** Only texts, never an error's other members: those of ioredis hold the command, AUTH with its password too. */
function errorText(error: unknown): string | undefined {
  if (error === undefined) return undefined;
  if (error instanceof AppError) return `${error.code}: ${error.message}`;
  if (error instanceof Error) return error.stack ?? error.message;
  return typeof error === "string" ? error : Object.prototype.toString.call(error);
}

/** Paths and errors are as long as a client likes. */
const MAX_TEXT_LENGTH = 4_000;

function shortened(text: string): string {
  return text.length <= MAX_TEXT_LENGTH ? text : `${text.slice(0, MAX_TEXT_LENGTH)}…`;
}

/**
 * What some reader takes for the end of a line (JSON leaves U+0085 and U+2028 as they are), a terminal for a command, or
 * an eye for another order of the letters. An escape of JSON, where it is inside a string already.
 */
function escapeControls(line: string): string {
  return line.replace(
    /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
