import { expect, test } from "bun:test";

import { formatTable, type Row } from "../../bench/table.ts";

const ROW: Row = { what: "a job", unit: "ms", value: 12 };

/** The cells of the only row. */
function cells(row: Partial<Row>): readonly string[] {
  const [, , line = ""] = formatTable([{ ...ROW, ...row }]).split("\n");
  return line
    .slice(1, -1)
    .split("|")
    .map((cell) => cell.trim());
}

test("a row without yardstick and target has its figure alone", () => {
  expect(cells({})).toEqual(["a job", "12.0 ms", "", "", "", "", ""]);
});

test("a row tells its yardstick, the ratio, and whether the target is met", () => {
  const yardstick = { name: "bare", value: 16 };
  const targets = [{ of: "ratio", atMost: 0.8 }] as const;
  expect(cells({ p99: 123.4, yardstick, targets })).toEqual([
    "a job",
    "12.0 ms",
    "123 ms",
    "bare: 16.0 ms",
    "0.75",
    "<= 0.8 x",
    "yes",
  ]);
});

test.each([
  [{ of: "value", atMost: 12 }, "<= 12 ms", "yes"],
  [{ of: "value", atMost: 11.9 }, "<= 11.9 ms", "**no**"],
  [{ of: "value", atLeast: 12.1 }, ">= 12.1 ms", "**no**"],
  [{ of: "p99", atMost: 40 }, "p99 <= 40 ms", "yes"],
  [{ of: "spread", atMost: 3 }, "p99 <= 3 x p50", "**no**"],
  [{ of: "excess", atMost: 5 }, "<= 5 ms more", "yes"],
  [{ of: "ratio", atLeast: 2 }, ">= 2 x", "**no**"],
] as const)("the target %o", (target, text, met) => {
  const yardstick = { name: "bare", value: 8 };
  expect(cells({ p99: 40, yardstick, targets: [target] }).slice(5)).toEqual([text, met]);
});

test("of several targets each must be met", () => {
  const targets = [
    { of: "value", atMost: 12 },
    { of: "p99", atMost: 20 },
  ] as const;
  expect(cells({ p99: 21, targets }).slice(5)).toEqual(["<= 12 ms, p99 <= 20 ms", "**no**"]);
});

test("a figure that could not be measured meets no target", () => {
  const targets = [{ of: "value", atMost: 12 }] as const;
  expect(cells({ value: Number.NaN, targets })).toContain("**no**");
  expect(cells({ targets: [{ of: "ratio", atMost: 1 }] })).toContain("**no**");
});
