import { describe, expect, test } from "bun:test";
import fc from "fast-check";

import { AppError } from "../src/errors.ts";
import { createLogger, type Logger, type LoggerOptions } from "../src/logger.ts";
import { type LoggedLine, recordedLog } from "./support/recorded-log.ts";

const LEVELS = ["error", "warn", "info", "debug"] as const;

function written(options: Partial<LoggerOptions>, say: (log: Logger) => void): readonly string[] {
  const lines: string[] = [];
  const write = (line: string) => lines.push(line) > 0;
  say(createLogger({ level: "debug", format: "json", write, ...options }));
  return lines;
}

const textOf = (say: (log: Logger) => void) => written({ format: "text" }, say)[0] ?? "";

describe("the level", () => {
  for (const [index, level] of LEVELS.entries())
    test(`${level} lets through itself and what is worse`, () => {
      const lines = written({ level }, (log) => {
        for (const each of LEVELS) log[each]("working", "");
      });
      expect(lines.map((line) => (JSON.parse(line) as LoggedLine).level)).toEqual(
        LEVELS.slice(0, index + 1),
      );
    });
});

describe("a line of JSON", () => {
  test("has time, level, event and message first, then the fields that there are", () => {
    const [line = ""] = written({}, (log) =>
      log.child({ job_id: "a", worker: "w" }).info("job_ended", "It ended.", {
        reason: null,
        epoch: 7,
        duration_ms: 0,
      }),
    );
    const { time, ...others } = JSON.parse(line) as LoggedLine;
    expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(Date.now() - Date.parse(time)).toBeLessThan(10_000);
    expect(JSON.stringify(others)).toBe(
      '{"level":"info","event":"job_ended","message":"It ended.","job_id":"a","worker":"w","epoch":7,"duration_ms":0}',
    );
  });

  test("a child's fields stand in its own lines, a line's own come last", () => {
    const { log, lines } = recordedLog();
    const child = log.child({ job_id: "a" }).child({ epoch: 1 });
    child.info("job_claimed", "", { epoch: 2 });
    log.info("working", "");
    expect(lines[0]).toMatchObject({ job_id: "a", epoch: 2 });
    expect(lines[1]).not.toHaveProperty("job_id");
  });

  test("tells an error of ours by its sentence, a bug by its stack, and nothing else that they hold", () => {
    const { log, lines } = recordedLog();
    const cause = Object.assign(new Error("refused"), { command: { args: ["hunter2"] } });
    for (const error of [
      new AppError("internal", "Redis answered: no", { cause }),
      cause,
      "text",
      { password: "hunter2" },
      null,
    ])
      log.error("step_failed", "", { error });
    const [ours, bug, ...others] = lines.map(({ error }) => error);
    expect(ours).toBe("internal: Redis answered: no");
    expect(bug).toStartWith("Error: refused\n");
    expect(bug).toContain("logger.test.ts");
    expect(others).toEqual(["text", "[object Object]", "[object Null]"]);
    expect(JSON.stringify(lines)).not.toContain("hunter2");
  });

  test("of a text without end has its beginning", () => {
    const { log, lines } = recordedLog();
    log.info("working", "m".repeat(1_000_000), { path: "p".repeat(1_000_000) });
    expect(lines[0]?.message).toBe(`${"m".repeat(4_000)}…`);
    expect(lines[0]?.path).toBe(`${"p".repeat(4_000)}…`);
  });
});

/** What some reader takes for a line's end, a terminal for a command, or an eye for another order. */
const FORGING = [
  "\n",
  "\r",
  "\v",
  "\f",
  "\u0000",
  "\u001b[2J",
  "\u007f",
  "\u0085",
  "\u009b1m",
  "\u2028",
  "\u2029",
  "\u202e",
  "\u2066",
];
const hostileText = fc
  .array(fc.oneof(fc.constantFrom(...FORGING, '"', "\\", '","level":"error'), fc.string()), {
    maxLength: 8,
  })
  .map((parts) => parts.join(""));
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u;

describe("whatever a message or a field holds", () => {
  test("a line of JSON is one line, and gives it back", () => {
    fc.assert(
      fc.property(hostileText, hostileText, hostileText, (message, path, error) => {
        const [line = "", ...more] = written({}, (log) =>
          log.info("working", message, { path, error }),
        );
        expect(more).toEqual([]);
        expect(line).not.toMatch(UNPRINTABLE);
        // A surrogate without its other half is no text, and is written as an escape all the same.
        expect(JSON.parse(line)).toMatchObject({ level: "info", message, path, error });
      }),
      { numRuns: 500 },
    );
  });

  test("a line of text is one line; an error's lines are indented below it", () => {
    fc.assert(
      fc.property(hostileText, hostileText, hostileText, (message, path, error) => {
        const [first = "", ...below] = textOf((log) =>
          log.info("working", message, { path, error }),
        ).split("\n");
        expect(first).toMatch(/^\d\d:\d\d:\d\dZ info  /);
        expect(below.length).toBe(error.split("\n").length);
        for (const line of [first, ...below]) expect(line).not.toMatch(UNPRINTABLE);
        for (const line of below) expect(line).toStartWith("    ");
      }),
      { numRuns: 500 },
    );
  });
});

describe("a line of text", () => {
  test("is short: the time, the level, the message, the fields", () => {
    const line = textOf((log) =>
      log.warn("job_fenced", "Given up.", { job_id: "a-1", epoch: 7, path: 'a "b"', worker: "me" }),
    );
    expect(line.slice(line.indexOf(" "))).toBe(
      ' warn  Given up. job_id=a-1 epoch=7 path="a \\"b\\""',
    );
  });

  test("has a stack below it", () => {
    const [, first, second] = textOf((log) =>
      log.error("fatal", "It ends.", { error: new TypeError("a bug") }),
    ).split("\n");
    expect(first).toBe("    TypeError: a bug");
    expect(second).toMatch(/^ {8}at .*logger\.test\.ts/);
  });
});

test("lines that could not be written are counted, and told of before the next that can", () => {
  const lines: LoggedLine[] = [];
  let isFull = true;
  const log = createLogger({
    level: "info",
    format: "json",
    write: (line) => {
      if (!isFull) lines.push(JSON.parse(line) as LoggedLine);
      return !isFull;
    },
  });
  log.info("working", "one");
  log.info("working", "two");
  isFull = false;
  log.info("working", "three");
  log.info("working", "four");
  expect(lines.map(({ event, message }) => [event, message])).toEqual([
    ["lines_dropped", "2 lines before this one were dropped, since nobody read them."],
    ["working", "three"],
    ["working", "four"],
  ]);
});
